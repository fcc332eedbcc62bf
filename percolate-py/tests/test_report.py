"""The report: one HTML page with the spans and metrics of a process."""

from __future__ import annotations

import html
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from test_telemetry import run

import percolate_rocks
from percolate_rocks import Database, QueryError, _telemetry


def data(path: Path) -> dict[str, Any]:
    """Return the data of a page."""
    page = path.read_text()
    assert page.startswith("<!doctype html>")
    found = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert isinstance(found, dict)
    return found


def names(page: dict[str, Any], lines: list[dict[str, Any]], level: int = 0) -> list[tuple[int, str]]:
    """Return the levels and names of the spans of a trace, folded ones too."""
    found = []
    for line in lines:
        for span in line.get("f", [line]):
            found.append((level, page["texts"][span["n"]]))
            found += names(page, span.get("c", []), level + 1)
    return found


def test_python_and_rust_spans_of_a_request_are_one_trace(db: Database, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    exporter = InMemorySpanExporter()
    tracers = TracerProvider(resource=Resource.create({"service.name": "library"}), shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    assert percolate_rocks.configure(tracer_provider=tracers, meter_provider=False, report=path)
    try:
        tracer = tracers.get_tracer("app")
        with tracer.start_as_current_span("GET /articles", kind=SpanKind.SERVER) as request:
            request.set_attribute("app.size", 3)
            request.add_event("cache.miss", {"app.cache": "articles"})
            db.insert("articles", {"slug": "a", "year": 1957})
            with tracer.start_as_current_span("render") as render:
                render.set_status(Status(StatusCode.ERROR, "no template"))
        assert percolate_rocks.status()["report"] == str(path)
        assert not percolate_rocks.status()["metrics"]
        assert percolate_rocks.force_flush()
        page = data(path)
        (trace,) = page["traces"]["kept"]
        assert (trace["name"], trace["why"], trace["errors"]) == ("GET /articles", "failed", 1)
        found = names(page, trace["tree"])
        assert found[0] == (0, "GET /articles")
        assert (1, "insert articles") in found and (1, "render") in found
        assert trace["spans"] == len(exporter.get_finished_spans())
        root = trace["tree"][0]
        assert page["texts"][root["a"][0]] == "app.size" and root["a"][1] == [3]
        assert page["texts"][root["v"][0][0]] == "cache.miss"
        assert ["service.name", "library"] in page["resource"]
        assert page["pipeline"]["lost"] == 0
        insert = next(row for row in page["operations"] if row["name"] == "insert")
        assert (insert["target"], insert["count"], insert["errors"]) == ("articles", 1, 0)
    finally:
        percolate_rocks.shutdown()
        tracers.shutdown()
    assert data(path)["pipeline"]["last"]
    assert percolate_rocks.status()["report"] is None


def test_heat_maps_and_readers_count_the_same_calls(db: Database, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    tracers = TracerProvider(shutdown_on_exit=False)
    percolate_rocks.configure(tracer_provider=tracers, meter_provider=meters, report=path)
    try:
        for _ in range(50):
            db.load_resource("r")
        collected = reader.get_metrics_data()
        assert collected is not None
        metrics = [m for r in collected.resource_metrics for s in r.scope_metrics for m in s.metrics]
        (durations,) = [m for m in metrics if m.name == "db.client.operation.duration"]
        gets = [p for p in durations.data.data_points if (p.attributes or {})["db.operation.name"] == "get"]
        assert [p.count for p in gets] == [50]  # type: ignore[union-attr]
        percolate_rocks.force_flush()
        page = data(path)
        (heat,) = [it for it in page["heat"]["maps"] if it["name"] == "get"]
        assert sum(sum(cell[3::2]) for cell in heat["cells"]) == 50
    finally:
        percolate_rocks.shutdown()
        meters.shutdown()
        tracers.shutdown()


def test_the_flush_of_a_provider_writes_the_page_and_its_shutdown_the_last_one(db: Database, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    tracers = TracerProvider(shutdown_on_exit=False)
    percolate_rocks.configure(tracer_provider=tracers, meter_provider=False, report=path)
    try:
        with tracers.get_tracer("app").start_as_current_span("first"):
            db.load_resource("r")
        assert tracers.force_flush()
        assert [trace["name"] for trace in data(path)["traces"]["kept"]] == ["first"]
        with tracers.get_tracer("app").start_as_current_span("second"):
            db.load_resource("r")
        tracers.shutdown()
        page = data(path)
        assert sorted(trace["name"] for trace in page["traces"]["kept"]) == ["first", "second"]
        assert page["pipeline"]["last"]
    finally:
        percolate_rocks.shutdown()


def test_no_key_document_or_literal_is_on_the_page(db: Database, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    markup = "<script>alert('canary-markup')</script>"
    tracers = TracerProvider(shutdown_on_exit=False)
    percolate_rocks.configure(tracer_provider=tracers, meter_provider=False, report=path)
    try:
        with tracers.get_tracer("app").start_as_current_span("request", attributes={"app.page": markup}):
            db.insert("articles", {"slug": "canary-key", "year": 1957, "body": "canary-document"})
            db.query("SELECT slug FROM articles WHERE slug = 'canary-literal'")
            with pytest.raises(QueryError):
                db.query("DELETE FROM articles WHERE slug = 'canary-literal'")
    finally:
        percolate_rocks.shutdown()
        tracers.shutdown()
    page = path.read_text()
    for canary in ("canary-key", "canary-document", "canary-literal", markup, html.escape(markup)):
        assert canary not in page
    assert markup in json.dumps(data(path)["texts"])


def test_a_page_that_cannot_be_written_is_reported_once(
    db: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "missing" / "report.html"
    tracers = TracerProvider(shutdown_on_exit=False)
    percolate_rocks.configure(tracer_provider=tracers, meter_provider=False, report=path)
    with caplog.at_level(logging.WARNING, "percolate_rocks"):
        assert not percolate_rocks.force_flush()
        error = percolate_rocks.status()["last_error"]
        assert error is not None and "create the folder" in error
        assert not percolate_rocks.force_flush()
        assert not percolate_rocks.shutdown()
    tracers.shutdown()
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "percolate_rocks"]
    assert warning.startswith("percolate report: cannot write `")


def test_another_path_is_another_report_and_the_same_one_changes_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "first.html", tmp_path / "second.html"
    try:
        assert percolate_rocks.configure("off", report=first)
        assert percolate_rocks.configure("off", report=first)
        assert not first.exists()
        assert percolate_rocks.configure("off", report=second)
        assert data(first)["pipeline"]["last"]
        assert percolate_rocks.status()["report"] == str(second)
    finally:
        percolate_rocks.shutdown()
    assert second.exists()


def test_a_report_that_never_had_a_provider_is_a_warning(
    db: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_telemetry, "_global_tracer_provider", lambda: None)
    path = tmp_path / "report.html"
    with caplog.at_level(logging.WARNING, "percolate_rocks"):
        assert not percolate_rocks.configure(report=path)
        db.tables()
        percolate_rocks.shutdown()
        percolate_rocks.shutdown()
        percolate_rocks.configure("off", report=path)
        percolate_rocks.shutdown()
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "percolate_rocks"]
    assert warning.startswith(f"percolate has not written {path}: no TracerProvider") and 'configure("off"' in warning
    assert path.exists()


def test_the_variable_selects_a_report(tmp_path: Path) -> None:
    script = """
        import sys, percolate_rocks
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        trace.set_tracer_provider(TracerProvider())
        with percolate_rocks.Database(sys.argv[1]) as db:
            parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            db.store_resource("r", b"x", trace_context={"traceparent": parent})
    """
    run(script, tmp_path / "db", PERCOLATE_REPORT=str(tmp_path / "report-{pid}.html"))
    (page,) = tmp_path.glob("report-*.html")
    assert page.stem.removeprefix("report-").isdigit()
    assert "0af7651916cd43dd8448eb211c80319c" in [trace["id"] for trace in data(page)["traces"]["kept"]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_has_a_page_of_its_own(tmp_path: Path) -> None:
    script = """
        import os, sys, percolate_rocks
        from opentelemetry.sdk.trace import TracerProvider

        provider = TracerProvider()
        percolate_rocks.configure(tracer_provider=provider, meter_provider=False, report=sys.argv[1] + "/report.html")
        tracer = provider.get_tracer("app")
        child = os.fork()
        name = "parent" if child else "child"
        with percolate_rocks.Database(f"{sys.argv[1]}/{name}") as db, tracer.start_as_current_span(name):
            db.load_resource("r")
        percolate_rocks.shutdown()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            print(child)
        os._exit(0)
    """
    script = script.replace("print(child)", "print(child, flush=True)")
    child = run(script, tmp_path).strip()
    for path, name in (("report.html", "parent"), (f"report.{child}.html", "child")):
        found = {trace["name"] for trace in data(tmp_path / path)["traces"]["kept"]}
        assert found & {"parent", "child"} == {name}
