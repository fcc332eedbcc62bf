"""The engine's own figures of every open database: in the readers of the application, and in the report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from place import ENGINE, place
from test_report import data
from test_telemetry import collecting, metrics_of, run

import percolate_rocks
from percolate_rocks import Database

SIZE = f"{ENGINE}.memtable.size"
#: A counter that is exported without options.
COUNTER = "rocksdb.event.dropped" if ENGINE == "rocksdb" else "slatedb.object_store.requests"


def points(reader: InMemoryMetricReader, name: str) -> list[tuple[dict[str, Any], int | float]]:
    """Return the attributes and values of a metric."""
    found = reader.get_metrics_data()
    metric = metrics_of(found).get(name) if found is not None else None
    return [(dict(p.attributes or {}), p.value) for p in metric.data.data_points] if metric is not None else []  # type: ignore[union-attr]


def namespaces(reader: InMemoryMetricReader) -> set[str]:
    """Return the namespaces of the databases with figures."""
    found = points(reader, SIZE)
    assert {attributes["db.system.name"] for attributes, _ in found} <= {ENGINE}
    return {attributes["db.namespace"] for attributes, _ in found}


def test_databases_opened_before_and_after_have_figures_until_they_are_closed(db: Database, tmp_path: Path) -> None:
    db.insert("articles", {"slug": "canary-key", "year": 1957})
    with collecting() as reader:
        assert namespaces(reader) == {"library"}
        with Database(place(tmp_path / "second"), namespace="second") as second:
            second.store_resource("canary-id", b"canary-value")
            assert namespaces(reader) == {"library", "second"}
            everything = reader.get_metrics_data()
            assert everything is not None and "canary" not in everything.to_json()
        assert namespaces(reader) == {"library"}
        db.close()
        assert namespaces(reader) == set()
    with collecting() as reader:
        assert namespaces(reader) == set()


@pytest.mark.rocksdb("SlateDB has no figures of column families")
def test_figures_of_rocksdb_have_the_column_family(db: Database) -> None:
    for number in range(7):
        db.insert("articles", {"slug": f"a{number}", "year": 1957})
    with collecting() as reader:
        keys = {attributes["db.collection.name"]: value for attributes, value in points(reader, "rocksdb.key.count")}
        assert keys["entities"] == 7
        assert points(reader, "rocksdb.block_cache.size")[0][1] > 0
        assert [value for _, value in points(reader, "rocksdb.snapshot.count")] == [0]


def test_a_read_only_database_has_figures_also_after_a_refresh(tmp_path: Path) -> None:
    path = place(tmp_path / "db")
    with Database(path) as writer:
        writer.store_resource("r", b"x")
    with collecting() as reader, Database(path, namespace="reader", read_only=True) as database:
        for _ in range(3):
            assert database.load_resource("r") == b"x"
            assert namespaces(reader) == {"reader"}
            once = points(reader, SIZE)
            assert len(once) == len({str(attributes) for attributes, _ in once})
            database.refresh()


def test_opening_again_and_again_adds_no_series_and_counts_on(tmp_path: Path) -> None:
    counts: list[float] = []
    with collecting() as reader:
        for _ in range(20):
            with Database(place(tmp_path / "db"), namespace="again") as database:
                database.store_resource("r", b"x")
                series = points(reader, COUNTER)
                assert len({str(attributes) for attributes, _ in series}) == len(series)
                counts.append(sum(value for _, value in series))
            assert points(reader, SIZE) == []
    assert counts == sorted(counts)
    assert ENGINE == "rocksdb" or len(set(counts)) == 20


def test_metrics_are_collected_while_databases_are_opened_and_closed(tmp_path: Path) -> None:
    script = """
        import sys, threading, percolate_rocks
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider

        reader = InMemoryMetricReader()
        meters = MeterProvider([reader], shutdown_on_exit=False)
        percolate_rocks.configure(tracer_provider=TracerProvider(shutdown_on_exit=False), meter_provider=meters)
        ended = threading.Event()

        def collect():
            while not ended.is_set():
                reader.get_metrics_data()

        collector = threading.Thread(target=collect)
        collector.start()
        # A database whose directory is not released when `close` returns cannot be opened again.
        for number in range(30):
            with percolate_rocks.Database(sys.argv[1]) as database:
                database.store_resource("r", bytes([number]))
                assert database.load_resource("r") == bytes([number])
        ended.set()
        collector.join()
    """
    run(script, place(tmp_path / "db"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_has_the_figures_of_its_own_databases_only(tmp_path: Path) -> None:
    script = """
        import os, sys, threading, warnings, percolate_rocks
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider

        def deliver():
            reader = InMemoryMetricReader()
            meters = MeterProvider([reader], shutdown_on_exit=False)
            percolate_rocks.configure(tracer_provider=TracerProvider(shutdown_on_exit=False), meter_provider=meters)
            return reader

        def namespaces(reader):
            data = reader.get_metrics_data()
            found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
            points = [p for m in found if m.name.endswith(".memtable.size") for p in m.data.data_points]
            return sorted({p.attributes["db.namespace"] for p in points})

        def spawn(check):
            sys.stdout.flush()
            child = os.fork()
            if child == 0:
                try:
                    check()
                    sys.stdout.flush()
                except BaseException as error:
                    print(repr(error), flush=True)
                    os._exit(1)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0

        def in_child():
            percolate_rocks.shutdown()
            try:
                reader = deliver()
            except RuntimeError:
                # The collecting thread used the delivery during the fork, so it stays off in this child.
                print("child []")
            else:
                print("child", namespaces(reader))

        def opens_in_child():
            percolate_rocks.shutdown()
            reader = deliver()
            with percolate_rocks.Database(sys.argv[1] + "/child", namespace="child"):
                print("child", namespaces(reader))

        # Python warns of a fork with threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        first = deliver()
        spawn(opens_in_child)
        with percolate_rocks.Database(sys.argv[1] + "/parent", namespace="parent"):
            ended = threading.Event()

            def collect():
                while not ended.is_set():
                    first.get_metrics_data()

            collector = threading.Thread(target=collect, daemon=True)
            collector.start()
            for _ in range(10):
                spawn(in_child)
            ended.set()
            collector.join()
            print("parent", namespaces(first))
    """
    directory = place(tmp_path)
    lines = run(script, directory).splitlines()
    assert lines == ["child ['child']", *["child []"] * 10, "parent ['parent']"]


@pytest.mark.parametrize("export", ["python", "off"])
def test_the_report_has_the_figures_of_open_and_of_closed_databases(tmp_path: Path, export: str) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    path = tmp_path / "report.html"
    tracers = TracerProvider(shutdown_on_exit=False)

    def figures() -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for value in data(path)["metrics"]["values"]:
            if value["name"].startswith(f"{ENGINE}."):
                found.setdefault(value["name"], []).append(value)
        return found

    def of(name: str, namespace: str) -> list[dict[str, Any]]:
        return [value for value in figures().get(name, []) if ["db.namespace", namespace] in value["attributes"]]

    with Database(place(tmp_path / "first"), namespace="first") as first:
        if export == "python":
            percolate_rocks.configure(tracer_provider=tracers, meter_provider=False, report=path)
        else:
            percolate_rocks.configure("off", report=path)
        try:
            with Database(place(tmp_path / "second"), namespace="second") as second:
                first.store_resource("r", b"x")
                second.store_resource("r", b"x")
                assert percolate_rocks.force_flush()
                for namespace in ("first", "second"):
                    assert of(SIZE, namespace) and of(COUNTER, namespace)
                assert not any("ended" in value for value in of(SIZE, "first") + of(SIZE, "second"))
            # No collection is necessary for what a database had when it was closed.
            with Database(place(tmp_path / "third"), namespace="third") as third:
                third.store_resource("r", b"x")
        finally:
            percolate_rocks.shutdown()
    found = of(SIZE, "third")
    assert found and all(value["ended"] for value in found)
    assert of(COUNTER, "third") and of(SIZE, "first")
    assert all("ended" not in value for value in of(SIZE, "first"))
    if ENGINE == "rocksdb":
        (keys,) = [v for v in of("rocksdb.key.count", "third") if ["db.collection.name", "resources"] in v["attributes"]]
        assert keys["value"] == 1
    tracers.shutdown()


def test_an_export_from_rust_has_the_figures(tmp_path: Path) -> None:
    script = """
        import sys, percolate_rocks

        percolate_rocks.configure("otlp_file")
        with percolate_rocks.Database(sys.argv[1], namespace="library") as database:
            database.store_resource("r", b"x")
            percolate_rocks.force_flush()
        percolate_rocks.shutdown()
    """
    run(script, place(tmp_path / "db"), PERCOLATE_FILE_FOLDER=str(tmp_path))
    assert f'"{SIZE}"' in (tmp_path / "metrics.jsonl").read_text()
