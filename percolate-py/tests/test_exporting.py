"""Exports from Rust: OTLP and the console."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from local_http import LocalServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from test_telemetry import run

import percolate_rocks


class Received:
    """The data received over OTLP."""

    def __init__(self) -> None:
        self.spans: dict[str, Span] = {}
        self.metrics: set[str] = set()

    def take_spans(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.update({span.name: span for span in scope.spans})

    def take_metrics(self, request: ExportMetricsServiceRequest) -> None:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                self.metrics.update(metric.name for metric in scope.metrics)

    def close(self) -> None:
        """Stop receiving."""


class Collector(Received):
    """An OTLP receiver over HTTP."""

    protocol = "http/protobuf"

    def __init__(self) -> None:
        super().__init__()
        self.server = LocalServer(self.answer)
        self.url = self.server.url

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        self.take(path, body)
        return 200, b""

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            self.take_spans(ExportTraceServiceRequest.FromString(body))
        elif path == "/v1/metrics":
            self.take_metrics(ExportMetricsServiceRequest.FromString(body))

    def close(self) -> None:
        self.server.close()


class GrpcCollector(Received):
    """An OTLP receiver over gRPC."""

    protocol = "grpc"

    def __init__(self) -> None:
        super().__init__()
        collector = self

        class Traces(TraceServiceServicer):
            def Export(self, request: ExportTraceServiceRequest, context: object) -> ExportTraceServiceResponse:
                collector.take_spans(request)
                return ExportTraceServiceResponse()

        class Metrics(MetricsServiceServicer):
            def Export(self, request: ExportMetricsServiceRequest, context: object) -> ExportMetricsServiceResponse:
                collector.take_metrics(request)
                return ExportMetricsServiceResponse()

        self.server = grpc.server(ThreadPoolExecutor(2))
        add_TraceServiceServicer_to_server(Traces(), self.server)
        add_MetricsServiceServicer_to_server(Metrics(), self.server)
        self.url = f"http://127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def close(self) -> None:
        self.server.stop(grace=None).wait()


@pytest.fixture(params=[Collector, GrpcCollector], ids=["http", "grpc"])
def collector(request: pytest.FixtureRequest) -> Iterator[Collector | GrpcCollector]:
    collector = request.param()
    yield collector
    collector.close()


SCRIPT = """
    import sys, percolate_rocks
    assert percolate_rocks.configure(sys.argv[2])
    assert percolate_rocks.configure(sys.argv[2])
    with percolate_rocks.Database(sys.argv[1]) as db:
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        db.store_resource("r", b"x", trace_context={"traceparent": parent})
    status = percolate_rocks.status()
    assert (status["installed"], status["export"], status["metrics"]) == (True, sys.argv[2], True), status
    assert percolate_rocks.force_flush(timeout=10)
    assert percolate_rocks.status()["spans_delivered"] >= 1
"""


def test_rust_exports_over_otlp_as_configured_by_the_environment(tmp_path: Path, collector: Collector | GrpcCollector) -> None:
    run(
        SCRIPT,
        tmp_path / "db",
        "otlp",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_PROTOCOL=collector.protocol,
    )
    span = collector.spans["put resources"]
    assert span.parent_span_id.hex() == "b7ad6b7169203331"
    assert span.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert "db.client.operation.duration" in collector.metrics


def test_the_status_counts_what_a_dead_collector_loses_and_says_why(tmp_path: Path) -> None:
    script = """
        import sys, percolate_rocks
        percolate_rocks.configure("otlp")
        with percolate_rocks.Database(sys.argv[1]) as db:
            for _ in range(50):
                db.load_resource("r")
            before = percolate_rocks.status()
            made = before["spans_delivered"] + before["spans_dropped"] + before["spans_waiting"]
            assert made >= 50, before
        assert not percolate_rocks.force_flush(timeout=5)
        after = percolate_rocks.status()
        assert after["spans_dropped"] >= 50 and after["spans_delivered"] == 0, after
        assert "Connection refused" in after["last_error"], after
    """
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{unused.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "300",
            "OTEL_METRICS_EXPORTER": "none",
        }
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), tmp_path / "db"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    # Python prints warnings of its loggers. The flush reports them, and the end of the program does
    # not report them again.
    assert done.stderr.count("percolate lost ") == 1, done.stderr
    assert "Connection refused" in done.stderr, done.stderr


def test_a_shutdown_names_the_exporter_that_lost_spans_and_the_page_is_there(tmp_path: Path) -> None:
    script = """
        import sys, percolate_rocks
        from pathlib import Path
        page = Path(sys.argv[2])
        percolate_rocks.configure("otlp", report=page)
        with percolate_rocks.Database(sys.argv[1]) as db:
            for _ in range(3000):
                db.load_resource("r")
        assert not percolate_rocks.shutdown(3)
        assert '"last":true' in page.read_text()
        status = percolate_rocks.status()
        assert not status["installed"] and "refused" in status["last_error"].lower(), status
        percolate_rocks.configure("off", report=page)
        assert percolate_rocks.status()["last_error"] is None
    """
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), tmp_path / "db", tmp_path / "report.html"],
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": url},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    (warning,) = [line for line in done.stderr.splitlines() if line.startswith("percolate lost ")]
    found = re.match(r"percolate lost (\d+) spans: (\d+) on the way to (\S+) \(OTLP/gRPC\): ", warning)
    assert found is not None, warning
    # One span of the call in Python and one in Rust, at most.
    assert found[1] == found[2] and 3000 <= int(found[1]) <= 7000, warning
    assert found[3].startswith(url), warning


def test_the_console_shows_a_tree(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), tmp_path / "db", "console"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "put resources" in done.stderr


def test_exporters_of_files_are_an_argument_or_those_of_the_variables(tmp_path: Path) -> None:
    by_argument, by_variables = tmp_path / "argument", tmp_path / "variables"
    by_argument.mkdir()
    by_variables.mkdir()
    script = """
    import os, sys, percolate_rocks
    export = sys.argv[2].split(",") if "," in sys.argv[2] else sys.argv[2]
    assert percolate_rocks.configure(export)
    assert percolate_rocks.status()["export"] == sys.argv[2]
    child = os.fork()
    if child == 0:
        with percolate_rocks.Database(sys.argv[1] + "2") as db:
            db.load_resource("r")
        assert percolate_rocks.shutdown()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with percolate_rocks.Database(sys.argv[1]) as db:
        db.store_resource("r", b"x")
    assert percolate_rocks.shutdown()
    """
    # An argument that lists exporters decides.
    folder = {"PERCOLATE_FILE_FOLDER": str(by_argument), "OTEL_TRACES_EXPORTER": "console"}
    run(script, tmp_path / "a", "otlp_file,chrome", **folder)
    folder = {"PERCOLATE_FILE_FOLDER": str(by_variables), "OTEL_METRICS_EXPORTER": "otlp_file"}
    run(script, tmp_path / "b", "env", OTEL_TRACES_EXPORTER="otlp_file,chrome", **folder)
    for files in (by_argument, by_variables):
        traces = (files / "traces.jsonl").read_text()
        assert "put resources" in traces and "get resources" in traces
        assert "db.client.operation.duration" in (files / "metrics.jsonl").read_text()
        parent = (files / "trace.json").read_text()
        assert "put resources" in parent and "get resources" not in parent
        (child,) = files.glob("trace.*.json")
        assert "get resources" in child.read_text()


@pytest.mark.parametrize("export", ["zipkin", "otlp,chrome", [], ["python"], ["otlp", "off"], None])
def test_an_export_that_does_not_exist_is_refused_with_the_choices(export: object) -> None:
    with pytest.raises(ValueError, match="or a list of 'otlp', 'otlp_file', 'chrome' and 'console', not"):
        percolate_rocks.configure(export)  # type: ignore[arg-type]


def test_a_prefork_worker_exports_over_otlp_by_itself(tmp_path: Path, collector: Collector | GrpcCollector) -> None:
    script = """
    import os, sys, percolate_rocks
    assert percolate_rocks.configure("otlp")
    child = os.fork()
    if child == 0:
        with percolate_rocks.Database(sys.argv[1]) as db:
            db.store_resource("r", b"x")
        assert percolate_rocks.status()["export"] == "otlp", percolate_rocks.status()
        assert percolate_rocks.force_flush(timeout=10)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    """
    run(
        script,
        tmp_path / "db",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_PROTOCOL=collector.protocol,
    )
    assert "put resources" in collector.spans
