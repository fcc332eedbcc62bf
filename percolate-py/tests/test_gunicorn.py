"""gunicorn with `preload_app`: the master imports the application, forked workers serve it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from test_fastapi_app import AllSpans, finished

APP = """
    import os
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.propagate import extract
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    import percolate_rocks

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)

    def reply(start_response, text, status="200 OK"):
        start_response(status, [("Content-Type", "text/plain")])
        return [text.encode()]
"""

# As docs/python.md recommends: the worker opens the database, after the fork.
IN_THE_WORKER = """
    from functools import cache

    @cache
    def database():
        return percolate_rocks.Database(f"{os.environ['DATABASE']}-{os.getpid()}", namespace=f"worker-{os.getpid()}")

    def app(environ, start_response):
        parent = extract({"traceparent": environ["HTTP_TRACEPARENT"]})
        with trace.get_tracer("app").start_as_current_span("request", parent):
            database().store_resource("r", b"x")
        return reply(start_response, str(os.getpid()))
"""

BEFORE_THE_FORK = """
    database = percolate_rocks.Database(os.environ["DATABASE"])
    database.store_resource("r", b"x")

    def app(environ, start_response):
        try:
            database.load_resource("r")
        except percolate_rocks.ForkedError as error:
            return reply(start_response, str(error), "503 Service Unavailable")
        return reply(start_response, "served")
"""


@contextmanager
def gunicorn(path: Path, script: str, collector: AllSpans) -> Iterator[str]:
    """Run a master with two workers and yield its address."""
    path.joinpath("service.py").write_text(textwrap.dedent(APP) + textwrap.dedent(script))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = {
        **os.environ,
        "DATABASE": str(path / "db"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    arguments = ["--preload", "--workers", "2", "--bind", address, "--log-level", "warning", "--worker-tmp-dir", path]
    master = subprocess.Popen(
        [sys.executable, "-W", "error::DeprecationWarning:percolate_rocks", "-m", "gunicorn", *arguments, "service:app"],
        cwd=path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(300):
            try:
                socket.create_connection(address.split(":"), timeout=1).close()  # type: ignore[arg-type]
                break
            except OSError:
                assert master.poll() is None, master.stderr and master.stderr.read()
                time.sleep(0.1)
        yield f"http://{address}"
    finally:
        master.terminate()
        _, output = master.communicate(timeout=30)
    assert master.returncode == 0, output
    assert "was sent SIG" not in output.replace("was sent SIGTERM", ""), output


@pytest.fixture
def spans() -> Iterator[AllSpans]:
    collector = AllSpans()
    yield collector
    collector.close()


def test_every_worker_has_a_database_and_traces_of_its_own(tmp_path: Path, spans: AllSpans) -> None:
    def ask(number: int) -> tuple[str, str]:
        trace_id = f"{number + 1:032x}"
        answer = httpx.get(service, headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}, timeout=20)
        assert answer.is_success, answer.text
        return answer.text, trace_id

    with gunicorn(tmp_path, IN_THE_WORKER, spans) as service, ThreadPoolExecutor(4) as clients:
        answered: dict[str, str] = {}
        for first in range(0, 400, 20):
            answered |= dict(clients.map(ask, range(first, first + 20)))
            if len(answered) == 2:
                break
        assert len(answered) == 2, "one worker served everything"
        for pid, trace_id in answered.items():
            found = finished(spans, trace_id, {"request", "put resources"})
            request, put = found["request"], found["put resources"]
            assert request.parent_span_id.hex() == "b7ad6b7169203331"
            assert put.parent_span_id == request.span_id
            namespaces = [a.value.string_value for a in put.attributes if a.key == "db.namespace"]
            assert namespaces == [f"worker-{pid}"]


def test_a_database_opened_before_the_fork_raises_in_each_request(tmp_path: Path, spans: AllSpans) -> None:
    with gunicorn(tmp_path, BEFORE_THE_FORK, spans) as service:
        answers = [httpx.get(service, timeout=20) for _ in range(4)]
    assert {answer.status_code for answer in answers} == {503}
    assert re.search("opened before this process was forked.*open databases after forking", answers[0].text)
