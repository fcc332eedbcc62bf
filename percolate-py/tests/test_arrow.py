"""Entities from Arrow data: round trips of queries, the forms of values, and data that is refused."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from place import place

from percolate_rocks import AsyncDatabase, Database, PercolateError, RowsRefusedError, UnknownTableError
from percolate_rocks._pytest_plugin import CapturedSpans

pa = pytest.importorskip("pyarrow")

FIELDS: dict[str, Any] = {
    "slug": {"type": "string"},
    "year": {"type": ["integer", "null"]},
    "score": {"type": "number"},
    "read": {"type": "boolean"},
    "day": {"type": "string", "format": "date"},
    "at": {"type": "string", "format": "date-time"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "more": {"type": "object"},
    "rows": {"type": "array", "items": {"type": "object"}},
    "any": {},
}


@pytest.fixture
def library(db: Database) -> Database:
    db.register_schema("articles", {"properties": FIELDS, "required": ["slug"], "key_field": "slug"})
    return db


def data_of(db: Database, table: str) -> list[dict[str, Any]]:
    rows = [{name: value for name, value in row.items() if not name.startswith("_")} for row in db.scan(table)]
    return sorted(rows, key=str)


def test_the_result_of_a_query_can_be_inserted(library: Database, tmp_path: Path) -> None:
    library.insert_many("articles", [
        {
            "slug": "full", "year": 1957, "score": 1.5, "read": True, "day": date(1957, 7, 1),
            "at": datetime(1957, 7, 1, 12, 30, 1, 5, tzinfo=timezone.utc), "tags": ["a", "é"],
            "more": {"inside": [1, None, "x"]}, "rows": [{"a": 1}], "any": "text",
        },
        {"slug": "null", "year": None},
        {"slug": "absent"},
    ])
    result = library.query_arrow("SELECT * FROM articles")
    with Database(place(tmp_path / "copy")) as copy:
        copy.register_schema("articles", library.schema("articles"))
        report = copy.insert_arrow("articles", result)
        assert report == {"rows": 3, "written": 3, "unchanged": 0, "refused": 0, "errors": []}
        # A field that is absent is null in a column, and null is stored where the schema allows it.
        absent = library.get("articles", key="absent")
        assert copy.get("articles", key="absent") == {**absent, "year": None}  # type: ignore[dict-item]
        for key in ("full", "null"):
            assert copy.get("articles", key=key) == library.get("articles", key=key)
        assert copy.insert_arrow("articles", result, existing="replace")["unchanged"] == 3


def arrays() -> dict[str, Any]:
    """Arrays of three values of each type, one of them null."""
    at = datetime(1957, 7, 1, 12, 30, 1, 250_000)
    utc = at.replace(tzinfo=timezone.utc)
    numbers = {
        str(kind): pa.array([1, None, 3], kind)
        for kind in (
            pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
            pa.float32(), pa.float64(),
        )
    }
    nested = pa.struct([("a", pa.int64()), ("b", pa.list_(pa.timestamp("us")))])
    return {
        **numbers,
        "float16": pa.array([1.5, None, 2], pa.float16()),
        "small": pa.array([-(2**63), None, 2**63 - 1]),
        "large": pa.array([0, None, 2**64 - 1], pa.uint64()),
        "bool": pa.array([True, None, False]),
        "text": pa.array(["a", None, "é"]),
        "large text": pa.array(["a", None, "é"], pa.large_string()),
        "view": pa.array(["a", None, "é"], pa.string_view()),
        "dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
        "date32": pa.array([date(1957, 7, 1), None, date(2024, 2, 29)]),
        "date64": pa.array([date(1957, 7, 1), None, date(2024, 2, 29)], pa.date64()),
        "time32": pa.array([time(1, 2, 3), None, time(23, 59)], pa.time32("ms")),
        "time64": pa.array([time(1, 2, 3, 4), None, time(23, 59)], pa.time64("us")),
        "s": pa.array([at.replace(microsecond=0), None, at.replace(microsecond=0)], pa.timestamp("s")),
        "ms": pa.array([at, None, at], pa.timestamp("ms")),
        "us": pa.array([at, None, datetime(1900, 1, 1, 0, 0, 0, 1)], pa.timestamp("us")),
        "utc": pa.array([utc, None, utc], pa.timestamp("us", "UTC")),
        "berlin": pa.array([utc, None, utc], pa.timestamp("us", "Europe/Berlin")),
        "offset": pa.array([utc, None, utc], pa.timestamp("ms", "+05:30")),
        "duration": pa.array([timedelta(days=1, seconds=5), None, -timedelta(milliseconds=1500)], pa.duration("ms")),
        "zero": pa.array([timedelta(0), None, timedelta(days=2)], pa.duration("us")),
        "decimal": pa.array([Decimal("1.10"), None, Decimal("-2.00")]),
        "whole": pa.array([Decimal("1"), None, Decimal("-2")], pa.decimal128(10, 0)),
        "decimal256": pa.array([Decimal("1.10"), None, Decimal("-2.00")], pa.decimal256(50, 2)),
        "as text": pa.array([Decimal("1.10"), None, Decimal("-2.00")]),
        "list": pa.array([[1, None], None, []], pa.list_(pa.int64())),
        "large list": pa.array([["a"], None, []], pa.large_list(pa.string())),
        "fixed list": pa.array([[1.5, 2.5], None, [0.0, 1.0]], pa.list_(pa.float64(), 2)),
        "struct": pa.array([{"a": 1, "b": [at]}, None, {"a": None, "b": None}], nested),
        "map": pa.array([[("x", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        "null": pa.nulls(3),
    }


def test_values_have_the_form_that_insert_gives_them(db: Database) -> None:
    columns = arrays()
    fields: dict[str, Any] = {name: {} for name in columns}
    fields["as text"] = {"type": ["string", "null"]}
    for table in ("inserted", "from_arrow"):
        db.register_schema(table, {"properties": {"row": {"type": "integer"}, **fields}, "key_field": "row"})
    table = pa.table({"row": [0, 1, 2], **columns})
    rows = table.to_pylist(maps_as_pydicts="strict")
    for row in rows:
        for name, value in list(row.items()):
            # Only a field whose schema names null holds it.
            if value is None and name != "as text":
                del row[name]
    db.insert_many("inserted", rows)
    assert db.insert_arrow("from_arrow", table)["written"] == 3
    for expected, read in zip(data_of(db, "inserted"), data_of(db, "from_arrow"), strict=True):
        for name in expected.keys() | read.keys():
            assert read.get(name, "absent") == expected.get(name, "absent"), name
    first = db.get("from_arrow", key=0)
    assert first is not None and (first["as text"], first["decimal"], first["whole"]) == ("1.10", 1.1, 1)
    assert first["berlin"] == "1957-07-01T13:30:01.250000+01:00"


def test_more_sources_have_the_interface(db: Database) -> None:
    db.register_schema("t", {"properties": {"a": {"type": "integer"}}})
    table = pa.table({"a": [1, 2, 3]})
    sources = [
        table,
        table.to_batches()[0],
        pa.RecordBatchReader.from_batches(table.schema, table.to_batches()),
        table.slice(1, 2),
        pa.chunked_array([pa.array([{"a": 1}])]),
        pa.array([{"a": 1}]),
        pa.table({"a": pa.array([], pa.int64())}),
    ]
    for module, frame in [("polars", "DataFrame"), ("pandas", "DataFrame")]:
        library = pytest.importorskip(module)
        sources.append(getattr(library, frame)({"a": [1, 2, 3]}))
    written = [db.insert_arrow("t", source)["written"] for source in sources]
    assert written == [3, 3, 3, 2, 1, 1, 0, 3, 3]
    assert db.query("SELECT sum(a) AS sum FROM t") == [{"sum": 6 * 5 + 5 + 2}]


def test_refused_rows_are_reported_by_their_number(library: Database) -> None:
    table = pa.table({"slug": [str(n) for n in range(2500)], "score": [float(n) for n in range(2500)]})
    slugs = table.column("slug").to_pylist()
    scores = table.column("score").to_pylist()
    slugs[7], scores[2400], slugs[2499] = None, float("nan"), "8"
    bad = pa.table({"slug": slugs, "score": scores})
    with pytest.raises(RowsRefusedError) as caught:
        library.insert_arrow("articles", bad)
    assert [error["line"] for error in caught.value.report["errors"]] == [8, 2401, 2500]
    reasons = [error["reason"] for error in caught.value.report["errors"]]
    assert '"slug" is a required property' in reasons[0]
    assert reasons[1:] == ["`score` is not a finite number", "an earlier row has the same key or `_id`"]
    assert library.count("articles") == 0
    seen: list[int] = []
    report = library.insert_arrow("articles", bad, on_error="skip", on_progress=seen.append)
    assert (report["rows"], report["written"], report["refused"]) == (2500, 2497, 3)
    assert seen == [1000, 2000, 2500]


def test_system_columns_are_system_fields(db: Database) -> None:
    db.register_schema("notes", {"properties": {"n": {"type": "integer"}}})
    id = str(uuid.uuid4())
    at = datetime(1957, 7, 1, tzinfo=timezone.utc)
    db.insert_arrow("notes", pa.table({"_id": [id, None], "_updated_at": [at, None], "n": [1, 2]}))
    read = db.get("notes", id)
    assert read == {"_id": id, "_created_at": read["_created_at"], "_updated_at": "1957-07-01T00:00:00.000000Z", "n": 1}  # type: ignore[index]
    assert db.count("notes") == 2


def test_data_that_is_not_of_rows_is_refused(library: Database) -> None:
    for data, kind, message in [
        ([{"slug": "a"}], TypeError, "the data must have `__arrow_c_stream__` or `__arrow_c_array__`"),
        (pa.array([1, 2]), ValueError, "cannot read the data as rows"),
        (pa.array([{"a": 1}, None]), ValueError, "cannot read the data as rows"),
        (pa.table({"slug": ["a"], "data": [b"x"]}), TypeError, "the column `data` has the type Binary, which JSON cannot hold"),
        (pa.table({"slug": ["a"], "data": [[b"x"]]}), TypeError, "the column `data` has the type List"),
        (pa.table([pa.array(["a"]), pa.array(["b"])], names=["slug", "slug"]), TypeError, "two columns are called `slug`"),
        (pa.table({"slug": ["a"], "m": pa.array([[(1, 2)]], pa.map_(pa.int8(), pa.int8()))}), TypeError, "JSON cannot hold"),
    ]:
        with pytest.raises(kind, match=message):
            library.insert_arrow("articles", data)
    with pytest.raises(UnknownTableError):
        library.insert_arrow("nothing", pa.table({"slug": ["a"]}))
    assert library.count("articles") == 0


def test_a_stream_is_read_once(library: Database) -> None:
    class Again:
        def __init__(self) -> None:
            self.capsule = pa.table({"slug": ["a"]}).__arrow_c_stream__()
            self.arrays = pa.array([{"slug": "b"}]).__arrow_c_array__()

        def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
            return self.capsule

    again = Again()
    assert library.insert_arrow("articles", again)["written"] == 1
    with pytest.raises(ValueError, match="cannot read the data as rows"):
        library.insert_arrow("articles", again)

    class Array:
        def __arrow_c_array__(self, requested_schema: object | None = None) -> Any:
            return again.arrays

    assert library.insert_arrow("articles", Array())["written"] == 1
    with pytest.raises(ValueError, match="it was read before"):
        library.insert_arrow("articles", Array())

    class Wrong:
        def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
            return again.arrays[0]

    with pytest.raises(ValueError):
        library.insert_arrow("articles", Wrong())


def test_invalid_text_in_foreign_memory_is_refused(library: Database) -> None:
    offsets, text = pa.py_buffer(bytes([0, 0, 0, 0, 2, 0, 0, 0])), pa.py_buffer(b"\xff\xfe")
    invalid = pa.Array.from_buffers(pa.string(), 1, [None, offsets, text])
    with pytest.raises(PercolateError, match="cannot read the rows"):
        library.insert_arrow("articles", pa.table({"slug": invalid}))
    with pytest.raises(ValueError, match="cannot read the data as rows"):
        library.insert_arrow("articles", pa.StructArray.from_arrays([invalid], names=["slug"]))
    assert library.count("articles") == 0


def test_an_error_of_a_stream_ends_the_insertion(library: Database) -> None:
    batch = pa.record_batch({"slug": [str(n) for n in range(1000)]})

    def batches() -> Iterator[Any]:
        yield batch
        raise ZeroDivisionError("no more")

    def reader() -> Any:
        return pa.RecordBatchReader.from_batches(batch.schema, batches())

    with pytest.raises(PercolateError, match="cannot read the rows to import into `articles`"):
        library.insert_arrow("articles", reader())
    assert library.count("articles") == 0
    with pytest.raises(PercolateError, match="stopped after 1000 rows were written"):
        library.insert_arrow("articles", reader(), on_error="skip")
    assert library.count("articles") == 1000


def test_an_insertion_is_one_span(library: Database, percolate_spans: CapturedSpans) -> None:
    with percolate_spans.tracer().start_as_current_span("request"):
        library.insert_arrow("articles", pa.table({"slug": ["a", "b"]}))
    span = percolate_spans.one("import articles")
    assert span.attributes is not None and span.attributes["db.operation.batch.size"] == 2
    assert percolate_spans.tree().splitlines()[:2] == ["request", "  import articles"]


def test_the_asynchronous_database_inserts_arrow_data(tmp_path: Path) -> None:
    async def main() -> int:
        async with await AsyncDatabase.open(place(tmp_path / "async")) as db:
            await db.register_schema("t", {"properties": {"a": {"type": "integer"}}})
            report = await db.insert_arrow("t", pa.table({"a": [1, 2]}))
            return int(report["written"])

    assert asyncio.run(main()) == 2
