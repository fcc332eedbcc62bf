"""What percolate, LanceDB, Chroma and sqlite-utils can do, each line tried.

    scripts/bench-wheel.sh features

Prints the table of docs/python.md. A probe returns what it found; one that fails prints "no". A probe
that cannot be written, because there is nothing to call, is left out, which prints "no" too.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import chromadb
import lancedb
import pyarrow
import sqlite_utils
from documents import DIMENSIONS, documents, embed
from with_percolate import SCHEMA, Words

from percolate_rocks import AsyncDatabase, ConflictError, Database, EntityError

ROWS = documents(200)
VECTORS = embed([row["body"] for row in ROWS])
Probe = Callable[[Path], str | None]
FEATURES: dict[str, dict[str, Probe]] = {}


def feature(name: str, *databases: str) -> Callable[[Probe], Probe]:
    """Register a probe of a feature."""

    def register(probe: Probe) -> Probe:
        for database in databases:
            FEATURES.setdefault(name, {})[database] = probe
        return probe

    return register


def percolate(path: Path) -> Database:
    db = Database(path / "percolate", embedder=Words())
    db.register_schema("articles", SCHEMA)
    db.insert_many("articles", ROWS)
    return db


def lance(path: Path) -> lancedb.table.Table:
    rows = [row | {"vector": vector} for row, vector in zip(ROWS, VECTORS)]
    return lancedb.connect(path / "lance").create_table("articles", rows)


def chroma(path: Path) -> chromadb.Collection:
    client = chromadb.PersistentClient(path / "chroma", chromadb.Settings(anonymized_telemetry=False))
    articles = client.create_collection("articles", embedding_function=None)
    articles.add(
        ids=[row["slug"] for row in ROWS],
        documents=[row["body"] for row in ROWS],
        metadatas=[{"year": row["year"]} for row in ROWS],
        embeddings=VECTORS,
    )
    return articles


def sqlite(path: Path) -> sqlite_utils.Database:
    db = sqlite_utils.Database(path / "articles.db")
    db["articles"].insert_all(ROWS, pk="slug")
    return db


JOINED = "SELECT count(*) AS n FROM articles a JOIN articles b ON a.year = b.year WHERE a.slug < b.slug"


@feature("SQL with joins and aggregates", "percolate")
def _(path: Path) -> str:
    with percolate(path) as db:
        assert db.query(JOINED)[0]["n"] > 0
    return "yes"


@feature("SQL with joins and aggregates", "sqlite-utils")
def _(path: Path) -> str:
    assert next(sqlite(path).query(JOINED))["n"] > 0
    return "yes"


@feature("search by meaning among the rows of a condition", "percolate")
def _(path: Path) -> str:
    with percolate(path) as db:
        db.generate_embeddings("articles")
        assert len(db.search("articles", "river", limit=3, where="year = 1951")) == 3
    return "an SQL condition"


@feature("search by meaning among the rows of a condition", "LanceDB")
def _(path: Path) -> str:
    query = lance(path).search(VECTORS[0]).where("year = 1951", prefilter=True).limit(3)
    assert len(query.to_list()) == 3
    return "an SQL condition"


@feature("search by meaning among the rows of a condition", "Chroma")
def _(path: Path) -> str:
    found = chroma(path).query(query_embeddings=[VECTORS[0]], n_results=3, where={"year": 1951})
    assert len(found["ids"][0]) == 3
    return "a filter in JSON"


@feature("embeddings computed by the database", "percolate")
def _(path: Path) -> str:
    with percolate(path) as db:
        assert db.generate_embeddings("articles")["embedded"] == len(ROWS)
    return "in the background, or on demand"


@feature("embeddings computed by the database", "LanceDB")
def _(path: Path) -> str:
    from lancedb.embeddings import TextEmbeddingFunction, register
    from lancedb.pydantic import LanceModel, Vector

    @register("words")
    class Function(TextEmbeddingFunction):
        def generate_embeddings(self, texts):
            return embed(list(texts))

        def ndims(self):
            return DIMENSIONS

    function = Function.create()

    class Article(LanceModel):
        body: str = function.SourceField()
        vector: Vector(DIMENSIONS) = function.VectorField()

    table = lancedb.connect(path / "lance").create_table("articles", schema=Article)
    table.add([{"body": "river stone"}])
    assert len(table.search("river").limit(1).to_list()) == 1
    return "on write"


@feature("embeddings computed by the database", "Chroma")
def _(path: Path) -> str:
    class Function(chromadb.EmbeddingFunction):
        def __init__(self) -> None:
            pass

        def __call__(self, input):
            return embed(list(input))

    client = chromadb.PersistentClient(path / "chroma", chromadb.Settings(anonymized_telemetry=False))
    articles = client.create_collection("articles", embedding_function=Function())
    articles.add(ids=["a"], documents=["river stone"])
    assert articles.query(query_texts=["river"], n_results=1)["ids"] == [["a"]]
    return "on write"


@feature("full-text search", "LanceDB")
def _(path: Path) -> str:
    table = lance(path)
    table.create_fts_index("body")
    assert table.search("river", query_type="fts").limit(3).to_list()
    return "yes"


@feature("full-text search", "Chroma")
def _(path: Path) -> str:
    assert chroma(path).get(where_document={"$contains": "river"}, limit=3)["ids"]
    return "substrings"


@feature("full-text search", "sqlite-utils")
def _(path: Path) -> str:
    table = sqlite(path)["articles"]
    table.enable_fts(["body"])
    assert list(table.search("river"))
    return "yes"


@feature("one atomic write to several tables", "percolate")
def _(path: Path) -> str:
    with percolate(path) as db:
        db.register_schema("authors", {"key_field": "name"})
        with db.batch() as batch:
            batch.insert("authors", {"name": "a"})
            batch.delete("articles", key="article-1")
        assert (db.count("authors"), db.count("articles")) == (1, len(ROWS) - 1)
    return "yes"


@feature("one atomic write to several tables", "sqlite-utils")
def _(path: Path) -> str:
    db = sqlite(path)
    db["authors"].create({"name": str}, pk="name")
    with db.conn:
        db.conn.execute("INSERT INTO authors VALUES ('a')")
        db.conn.execute("DELETE FROM articles WHERE slug = 'article-1'")
    assert (db["authors"].count, db["articles"].count) == (1, len(ROWS) - 1)
    return "yes"


@feature("write only if unchanged since it was read", "percolate")
def _(path: Path) -> str:
    with percolate(path) as db:
        seen = db.get("articles", key="article-1")
        db.update("articles", key="article-1", changes={"year": 1})
        with contextlib.suppress(ConflictError):
            db.update("articles", key="article-1", changes={"year": 2}, if_unchanged_since=seen["_updated_at"])
            return None
    return "yes"


@feature("write only if unchanged since it was read", "sqlite-utils")
def _(path: Path) -> str:
    db = sqlite(path)
    with db.conn:
        changed = db.conn.execute("UPDATE articles SET year = 2 WHERE slug = 'article-1' AND year = 0")
    assert changed.rowcount == 0
    return "a condition in SQL"


@feature("write only if unchanged since it was read", "LanceDB")
def _(path: Path) -> str:
    table = lance(path)
    changed = table.update(where="slug = 'article-1' AND year = 0", values={"year": 2})
    assert changed.rows_updated == 0
    return "a condition in SQL"


@feature("a document that does not match is refused", "percolate")
def _(path: Path) -> str:
    with percolate(path) as db:
        try:
            db.insert("articles", {"slug": "x", "year": "1957"})
        except EntityError as error:
            assert "/year" in str(error)
            return "JSON Schema, with the path"
    return None


@feature("a document that does not match is refused", "LanceDB")
def _(path: Path) -> str:
    try:
        lance(path).add([{"slug": "x", "year": "old", "body": "x", "vector": VECTORS[0]}])
    except Exception:
        return "types of columns"
    return None


@feature("a document that does not match is refused", "sqlite-utils")
def _(path: Path) -> str:
    db = sqlite_utils.Database(path / "articles.db")
    try:
        db["articles"].create({"slug": str, "year": int}, pk="slug", strict=True)
        db["articles"].insert({"slug": "x", "year": "old"})
    except Exception:
        return "types of columns, with `strict`"
    return None


NESTED = {"slug": "x", "tags": ["a", {"b": [1, None]}]}


@feature("nested lists and objects come back", "percolate")
def _(path: Path) -> str:
    with Database(path / "percolate") as db:
        db.register_schema("articles", {"key_field": "slug"})
        db.insert("articles", NESTED)
        assert db.lookup("articles", "x")["tags"] == NESTED["tags"]
    return "yes"


@feature("nested lists and objects come back", "LanceDB")
def _(path: Path) -> str:
    row = {"slug": "x", "tags": [{"b": [1, 2]}]}
    table = lancedb.connect(path / "lance").create_table("articles", [row])
    assert table.search().limit(1).to_list()[0]["tags"] == row["tags"]
    return "of one type"


@feature("nested lists and objects come back", "Chroma")
def _(path: Path) -> str:
    articles = chroma(path)
    articles.add(ids=["x"], embeddings=[VECTORS[0]], metadatas=[{"tags": ["a", "b"]}])
    assert articles.get(ids=["x"])["metadatas"][0]["tags"] == ["a", "b"]
    return "flat lists"


@feature("nested lists and objects come back", "sqlite-utils")
def _(path: Path) -> str:
    db = sqlite_utils.Database(path / "articles.db")
    db["articles"].insert(NESTED, pk="slug")
    assert json.loads(db["articles"].get("x")["tags"]) == NESTED["tags"]
    return "as text"


LINES = [json.dumps(row) for row in ROWS] + ["{"]


@feature("JSON lines in and out, bad lines named", "percolate")
def _(path: Path) -> str:
    with Database(path / "percolate") as db:
        db.register_schema("articles", SCHEMA)
        report = db.import_jsonl("articles", LINES, on_error="skip")
        assert report["errors"][0]["line"] == len(LINES)
        db.export_jsonl("articles", path / "out.jsonl")
    assert len((path / "out.jsonl").read_text().splitlines()) == len(ROWS)
    return "yes"


@feature("JSON lines in and out, bad lines named", "sqlite-utils")
def _(path: Path) -> str:
    (path / "in.jsonl").write_text("\n".join(LINES[:-1]))
    tool = [sys.executable, "-m", "sqlite_utils"]
    subprocess.run([*tool, "insert", path / "a.db", "articles", path / "in.jsonl", "--nl"], check=True, capture_output=True)
    out = subprocess.run([*tool, "rows", path / "a.db", "articles", "--nl"], check=True, capture_output=True)
    assert len(out.stdout.splitlines()) == len(ROWS)
    return "on the command line; a bad line ends it"


TABLE = pyarrow.Table.from_pylist(ROWS)


@feature("Arrow tables in and out", "percolate")
def _(path: Path) -> str:
    with Database(path / "percolate") as db:
        db.register_schema("articles", SCHEMA)
        db.insert_arrow("articles", TABLE)
        assert pyarrow.table(db.query_arrow("SELECT slug FROM articles")).num_rows == len(ROWS)
    return "yes"


@feature("Arrow tables in and out", "LanceDB")
def _(path: Path) -> str:
    table = lancedb.connect(path / "lance").create_table("articles", TABLE)
    assert table.to_arrow().num_rows == len(ROWS)
    return "yes"


@feature("tables of Pydantic models", "percolate")
def _(path: Path) -> str:
    from pydantic import BaseModel

    class Article(BaseModel):
        slug: str
        year: int

    with Database(path / "percolate") as db:
        articles = db.table("articles", Article, key_field="slug")
        articles.insert(Article(slug="a", year=1957))
        assert articles.get(key="a") == Article(slug="a", year=1957)
    return "and dataclasses"


@feature("tables of Pydantic models", "LanceDB")
def _(path: Path) -> str:
    from lancedb.pydantic import LanceModel

    class Article(LanceModel):
        slug: str
        year: int

    table = lancedb.connect(path / "lance").create_table("articles", schema=Article)
    table.add([Article(slug="a", year=1957)])
    assert table.search().to_pydantic(Article) == [Article(slug="a", year=1957)]
    return "subclasses of `LanceModel`"


@feature("own vectors, several for each row", "percolate")
def _(path: Path) -> str:
    with Database(path / "percolate", embedder=Words()) as db:
        db.register_schema("articles", SCHEMA | {"embedding_fields": ["body", "title"], "properties": SCHEMA["properties"] | {"title": {"type": "string"}}})
        vectors = {"body": VECTORS[0], "title": VECTORS[1]}
        db.insert("articles", {"slug": "a", "body": "x", "title": "y"}, vectors=vectors)
        assert db.search_vector("articles", VECTORS[1])[0][1] < 0.001
    return "yes"


@feature("own vectors, several for each row", "LanceDB")
def _(path: Path) -> str:
    row = {"slug": "a", "body": VECTORS[0], "title": VECTORS[1]}
    vector = pyarrow.list_(pyarrow.float32(), DIMENSIONS)
    schema = pyarrow.schema([("slug", pyarrow.string()), ("body", vector), ("title", vector)])
    table = lancedb.connect(path / "lance").create_table("articles", [row], schema=schema)
    assert len(table.search(VECTORS[1], vector_column_name="title").to_list()) == 1
    return "yes"


@feature("own vectors, several for each row", "Chroma")
def _(path: Path) -> str:
    assert chroma(path).query(query_embeddings=[VECTORS[0]], n_results=1)["ids"] == [["article-0"]]
    return "one"


def read_elsewhere(program: str, path: Path) -> bool:
    ran = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    return ran.stdout.strip().endswith(str(len(ROWS)))


@feature("another process reads meanwhile", "percolate")
def _(path: Path) -> str:
    program = (
        "import sys, percolate_rocks as p; print(p.Database(sys.argv[1] + '/percolate', read_only=True).count('articles'))"
    )
    with percolate(path):
        assert read_elsewhere(program, path)
    return "a snapshot, refreshed on request or at an interval"


@feature("another process reads meanwhile", "LanceDB")
def _(path: Path) -> str:
    table = lance(path)
    program = "import sys, lancedb; print(lancedb.connect(sys.argv[1] + '/lance').open_table('articles').count_rows())"
    assert read_elsewhere(program, path) and table.count_rows()
    return "and writes"


@feature("another process reads meanwhile", "sqlite-utils")
def _(path: Path) -> str:
    db = sqlite(path)
    program = "import sys, sqlite_utils; print(sqlite_utils.Database(sys.argv[1] + '/articles.db')['articles'].count)"
    assert read_elsewhere(program, path) and db["articles"].count
    return "and writes"


@feature("asyncio", "percolate")
def _(path: Path) -> str:
    async def count() -> int:
        async with await AsyncDatabase.open(path / "percolate") as db:
            await db.register_schema("articles", SCHEMA)
            await db.insert_many("articles", ROWS)
            return await db.count("articles")

    assert asyncio.run(count()) == len(ROWS)
    return "yes"


@feature("asyncio", "LanceDB")
def _(path: Path) -> str:
    async def count() -> int:
        db = await lancedb.connect_async(path / "lance")
        return await (await db.create_table("articles", ROWS)).count_rows()

    assert asyncio.run(count()) == len(ROWS)
    return "yes"


def spans(work: Callable[[], object]) -> int:
    from opentelemetry import trace
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    trace.get_tracer_provider().force_flush()
    exporter = InMemorySpanExporter()
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
    work()
    trace.get_tracer_provider().force_flush()
    return len(exporter.get_finished_spans())


@feature("OpenTelemetry spans of every call", "percolate")
def _(path: Path) -> str:
    with percolate(path) as db:
        assert spans(lambda: db.count("articles")) > 0
    return "yes"


@feature("OpenTelemetry spans of every call", "LanceDB")
def _(path: Path) -> str:
    table = lance(path)
    assert spans(table.count_rows) > 0
    return "yes"


@feature("OpenTelemetry spans of every call", "Chroma")
def _(path: Path) -> str:
    articles = chroma(path)
    assert spans(articles.count) > 0
    return "yes"


@feature("OpenTelemetry spans of every call", "sqlite-utils")
def _(path: Path) -> str:
    db = sqlite(path)
    assert spans(lambda: db["articles"].count) > 0
    return "yes"


@feature("earlier versions of a table", "LanceDB")
def _(path: Path) -> str:
    table = lance(path)
    before = table.version
    table.delete("year < 1960")
    table.checkout(before)
    assert table.count_rows() == len(ROWS)
    return "yes"


@feature("on an object store", "LanceDB")
def _(path: Path) -> str:
    assert lancedb.connect("memory://articles").create_table("articles", ROWS).count_rows() == len(ROWS)
    return "S3, GCS, Azure"


@feature("on an object store", "percolate")
def _(path: Path) -> str:
    with Database("memory:///articles") as db:
        db.register_schema("articles", {"key_field": "slug"})
        assert len(db.insert_many("articles", ROWS)) == db.count("articles") == len(ROWS)
    return "S3"


DATABASES = ["percolate", "LanceDB", "Chroma", "sqlite-utils"]


def main() -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    warnings.simplefilter("ignore")
    print("| | " + " | ".join(DATABASES) + " |")
    print("|---|" + "---|" * len(DATABASES))
    for name, probes in FEATURES.items():
        cells = []
        for database in DATABASES:
            answer = None
            if database in probes:
                with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as path:
                    try:
                        with contextlib.redirect_stderr(io.StringIO()):
                            answer = probes[database](Path(path))
                    except Exception as error:
                        print(f"{name}, {database}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
            cells.append(answer or "no")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
