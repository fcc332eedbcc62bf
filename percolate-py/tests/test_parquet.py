"""Parquet files: round trips, refused rows, ends in the middle, and pyarrow that is missing."""

from __future__ import annotations

import sys
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from place import place

from percolate_rocks import AsyncDatabase, Database, OperationTimeoutError, RowsRefusedError
from percolate_rocks._pytest_plugin import CapturedSpans

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

SCHEMA = {
    "properties": {
        "slug": {"type": "string"},
        "year": {"type": "integer"},
        "day": {"type": "string", "format": "date"},
        "at": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "more": {"type": "object"},
    },
    "required": ["slug"],
    "key_field": "slug",
}


@pytest.fixture
def library(db: Database) -> Database:
    db.register_schema("articles", SCHEMA)
    db.insert_many("articles", [
        {
            "slug": f"article {n}", "year": 1900 + n, "day": date(1957, 7, 1), "tags": ["a", "é"],
            "at": datetime(1957, 7, 1, 12, 30, tzinfo=timezone.utc), "more": {"inside": [n, None]},
        }
        for n in range(50)
    ])
    db.insert("articles", {"slug": "bare"})
    return db


def test_an_import_of_an_export_restores_the_entities(library: Database, tmp_path: Path) -> None:
    path = tmp_path / "articles.parquet"
    path.write_text("earlier")
    seen: list[int] = []
    assert library.export_parquet("articles", path, on_progress=seen.append) == 51
    assert seen == [51]
    table = pq.read_table(path)
    assert table.schema.field("day").type == pa.date32()
    assert table.schema.field("at").type == pa.timestamp("us", "UTC")
    with Database(place(tmp_path / "copy")) as copy:
        copy.register_schema("articles", SCHEMA)
        report = copy.import_parquet("articles", str(path), on_progress=seen.append)
        assert report == {"rows": 51, "written": 51, "unchanged": 0, "refused": 0, "errors": []}
        assert list(copy.scan("articles")) == list(library.scan("articles"))
        assert copy.import_parquet("articles", path, existing="skip")["unchanged"] == 51
    assert seen == [51, 51, 51]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["articles.parquet", "copy", "db"]


def test_large_tables_are_written_and_read_in_parts(db: Database, tmp_path: Path) -> None:
    db.register_schema("numbers", {"properties": {"n": {"type": "integer"}}})
    path = tmp_path / "numbers.parquet"
    assert db.export_parquet("numbers", path) == 0
    assert pq.read_table(path).column_names == ["_id", "n", "_created_at", "_updated_at"]
    pq.write_table(pa.table({"n": range(70_000)}), path)
    assert db.import_parquet("numbers", path)["written"] == 70_000
    assert db.export_parquet("numbers", path) == 70_000
    file = pq.ParquetFile(path)
    assert file.metadata.num_row_groups == 2
    assert sorted(file.read().column("n").to_pylist()) == list(range(70_000))


def test_refused_rows_and_exceptions_are_raised(library: Database, tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"slug": ["new", None, "bare"]}), path)
    with pytest.raises(RowsRefusedError) as caught:
        library.import_parquet("articles", path)
    assert [error["line"] for error in caught.value.report["errors"]] == [2, 3]
    assert library.import_parquet("articles", path, on_error="skip")["written"] == 1
    pq.write_table(pa.table({"slug": [b"x"]}), path)
    with pytest.raises(TypeError, match="the column `slug` has the type Binary"):
        library.import_parquet("articles", path)
    path.write_text("no parquet")
    with pytest.raises(ValueError):
        library.import_parquet("articles", path)
    for missing in (tmp_path / "missing.parquet", tmp_path / "missing" / "file"):
        with pytest.raises(FileNotFoundError):
            library.import_parquet("articles", missing)
    with pytest.raises(FileNotFoundError):
        library.export_parquet("articles", tmp_path / "missing" / "file")


def test_a_failed_export_leaves_the_earlier_file(library: Database, tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    path.write_text("earlier")

    def fail(done: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        library.export_parquet("articles", path, on_progress=fail)
    with pytest.raises(OperationTimeoutError):
        library.export_parquet("articles", path, timeout=0)
    library.register_schema("free", {})
    with pytest.raises(ValueError, match="the schema has no properties, which are the columns; use export_jsonl"):
        library.export_parquet("free", path)
    assert path.read_text() == "earlier"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["db", "out.parquet"]


def test_an_exception_while_the_file_is_read_is_raised(
    library: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"slug": ["new"]}), path)

    class Interrupted(pq.ParquetFile):  # type: ignore[misc, name-defined]
        def iter_batches(self, *args: Any, **kwargs: Any) -> Any:
            yield from super().iter_batches(*args, **kwargs)
            raise KeyboardInterrupt

    monkeypatch.setattr(pq, "ParquetFile", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        library.import_parquet("articles", path)
    assert library.get("articles", key="new") is None


def test_pyarrow_that_is_missing_is_named(
    library: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="import_parquet needs pyarrow: pip install pyarrow"):
        library.import_parquet("articles", tmp_path / "file")
    with pytest.raises(ImportError, match="export_parquet needs pyarrow: pip install pyarrow"):
        library.export_parquet("articles", tmp_path / "file")


def test_an_export_is_one_span(library: Database, tmp_path: Path, percolate_spans: CapturedSpans) -> None:
    with percolate_spans.tracer().start_as_current_span("request"):
        library.export_parquet("articles", tmp_path / "out.parquet")
    assert percolate_spans.tree() == "request\n  export articles\n    scan entities"
    span = percolate_spans.one("export articles")
    assert span.attributes is not None and span.attributes["db.response.returned_rows"] == 51


async def test_the_asynchronous_database_reads_and_writes_parquet(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"slug": ["a", "b"]}), path)
    async with await AsyncDatabase.open(place(tmp_path / "async")) as db:
        await db.register_schema("articles", SCHEMA)
        assert (await db.import_parquet("articles", path))["written"] == 2
        assert await db.export_parquet("articles", path) == 2


def test_vectors_are_columns_and_are_restored(tmp_path: Path) -> None:
    path, schema = tmp_path / "articles.parquet", {**SCHEMA, "embedding_fields": ["slug"]}
    with Database(place(tmp_path / "db")) as db, Database(place(tmp_path / "copy")) as copy:
        for database in (db, copy):
            database.register_schema("articles", schema)
        db.insert("articles", {"slug": "a"}, vectors={"slug": [0.1] * 384})
        db.insert("articles", {"slug": "theirs"})
        db.generate_embeddings("articles")
        db.insert("articles", {"slug": "waiting"})
        assert db.export_parquet("articles", path, vectors=True) == 3
        table = pq.read_table(path)
        assert table.schema.field("_vectors").type == pa.struct([pa.field("slug", pa.list_(pa.float32(), 384))])
        assert sorted(map(str, table.column("_embedded_by").to_pylist())) == [
            "{'slug': 'offline-1'}", "{'slug': None}", "{'slug': None}"
        ]
        for data in (None, table, db.query_arrow("SELECT slug FROM articles")):
            copy.delete_where("articles", "true")
            report = copy.import_parquet("articles", path) if data is None else copy.insert_arrow("articles", data)
            assert report["written"] == 3
            waiting = copy.embedding_status("articles")["waiting"]
            assert waiting == (1 if data is None or data is table else 3)
        copy.delete_where("articles", "true")
        assert copy.import_parquet("articles", path)["written"] == 3
        assert copy.import_parquet("articles", path, existing="replace")["unchanged"] == 3
        copy.delete_where("articles", "true")
        copy.insert_arrow("articles", table, ignore_vectors=True)
        assert copy.embedding_status("articles")["waiting"] == 3
        db.export_parquet("articles", path)
        assert "_vectors" not in pq.read_table(path).column_names
