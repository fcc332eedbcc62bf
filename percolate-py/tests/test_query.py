"""SQL from Python: values, Arrow, errors and spans."""

from __future__ import annotations

import datetime as dt
import gc
import sys
import threading
from pathlib import Path

import pandas
import polars
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_telemetry import INTERRUPTED, run
from place import place

import percolate_rocks
from percolate_rocks import AsyncDatabase, Database
from percolate_rocks._pytest_plugin import CapturedSpans

SCHEMA = {
    "properties": {
        "slug": {"type": "string"},
        "year": {"type": ["integer", "null"]},
        "score": {"type": "number"},
        "open": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "extra": {"type": "object"},
        "seen": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
    },
    "key_field": "slug",
    "indexed_fields": ["year", "day"],
}
ROW = {
    "slug": "percolation",
    "year": 1957,
    "score": 0.5,
    "open": True,
    "tags": ["a", "b"],
    "seen": "1957-07-01T12:30:00.25+02:00",
    "day": "1957-07-01",
}


@pytest.fixture
def library(db: Database) -> Database:
    db.register_schema("books", SCHEMA)
    db.insert_many("books", [ROW, {"slug": "empty", "year": None}, {"slug": "later", "year": 1960, "tags": []}])
    return db


def test_rows_are_dicts_in_the_order_of_the_columns_with_pythons_own_types(library: Database) -> None:
    sql = "SELECT year, slug, score, open, tags, seen, day, extra FROM books WHERE slug = 'percolation'"
    (row,) = library.query(sql)
    assert list(row.items()) == [
        ("year", 1957),
        ("slug", "percolation"),
        ("score", 0.5),
        ("open", True),
        ("tags", ["a", "b"]),
        ("seen", dt.datetime(1957, 7, 1, 10, 30, 0, 250_000, tzinfo=dt.timezone.utc)),
        ("day", dt.date(1957, 7, 1)),
        ("extra", None),
    ]
    kinds = [type(value) for value in row.values()]
    assert kinds == [int, str, float, bool, list, dt.datetime, dt.date, type(None)]
    assert row["seen"].tzinfo is dt.timezone.utc
    entity = library.lookup("books", "percolation")
    assert entity is not None
    (system,) = library.query("SELECT _id, _created_at FROM books WHERE slug = 'percolation'")
    assert system["_id"] == entity["_id"]
    assert system["_created_at"] == dt.datetime.fromisoformat(entity["_created_at"].replace("Z", "+00:00"))
    assert library.query("SELECT slug FROM books WHERE year IS NULL") == [{"slug": "empty"}]
    assert library.query("SELECT slug FROM books WHERE year > 3000") == []


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("NULL", None),
        ("CAST(1 AS TINYINT)", 1),
        ("CAST(18446744073709551615 AS BIGINT UNSIGNED)", 2**64 - 1),
        ("CAST(0.5 AS REAL)", 0.5),
        ("X'00ff'", b"\x00\xff"),
        ("TIME '01:02:03.000004'", dt.time(1, 2, 3, 4)),
        ("TIMESTAMP '2020-01-02 03:04:05.6'", dt.datetime(2020, 1, 2, 3, 4, 5, 600_000)),
        ("make_array(1, NULL, 3)", [1, None, 3]),
        ("make_array(make_array(DATE '2020-01-02'))", [[dt.date(2020, 1, 2)]]),
        ("named_struct('a', 1, 'b', 'x')", {"a": 1, "b": "x"}),
        ("arrow_cast('x', 'Dictionary(Int32, Utf8)')", "x"),
        ("arrow_cast('x', 'Utf8View')", "x"),
        ("arrow_cast('x', 'LargeUtf8')", "x"),
        ("arrow_cast(1, 'Duration(Millisecond)')", dt.timedelta(milliseconds=1)),
        ("arrow_cast(0, 'Timestamp(Second, Some(\"+02:00\"))')", dt.datetime.fromtimestamp(0, dt.timezone.utc)),
        ("arrow_cast(1.5, 'Decimal128(10, 2)')", __import__("decimal").Decimal("1.50")),
        ("arrow_cast(1.5, 'Float16')", 1.5),
    ],
)
def test_every_sql_type_has_a_python_value(library: Database, expression: str, expected: object) -> None:
    (row,) = library.query(f"SELECT {expression} AS value")
    assert row["value"] == expected
    assert type(row["value"]) is type(expected)


def test_a_time_that_python_cannot_hold_is_text(library: Database) -> None:
    (row,) = library.query("SELECT arrow_cast(400000000000, 'Timestamp(Second, None)') AS value")
    assert isinstance(row["value"], str)


def test_parameters_are_values_dates_and_times(library: Database) -> None:
    def slugs(condition: str, *params: object) -> list[object]:
        rows = library.query(f"SELECT slug FROM books WHERE {condition} ORDER BY slug", params)  # type: ignore[arg-type]
        return [row["slug"] for row in rows]

    assert slugs("year >= $1 AND slug <> $2", 1957, "later") == ["percolation"]
    assert slugs("day = $1", dt.date(1957, 7, 1)) == ["percolation"]
    moment = dt.datetime(1957, 7, 1, 12, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert slugs("seen > $1", moment) == ["percolation"]
    assert slugs("seen > $1", moment + dt.timedelta(seconds=1)) == []
    assert slugs("open = $1", True) == ["percolation"]
    assert library.query("SELECT $1 AS it", ["it's; DROP TABLE books"]) == [{"it": "it's; DROP TABLE books"}]
    for wrong in ("text", b"bytes", {"a": 1}, 5):
        with pytest.raises(TypeError, match="params must be a list of the values of"):
            library.query("SELECT 1", wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="which JSON cannot hold"):
        library.query("SELECT $1", [object()])  # type: ignore[list-item]
    with pytest.raises(percolate_rocks.QueryError, match="no value was given"):
        library.query("SELECT * FROM books WHERE year = $1")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    number=st.integers(-(2**63), 2**63 - 1),
    real=st.floats(allow_nan=False, allow_infinity=False),
    truth=st.booleans(),
)
def test_a_parameter_comes_back_as_it_went_in(
    library: Database, text: str, number: int, real: float, truth: bool
) -> None:
    library.upsert("books", {"slug": "any", "year": number, "score": real, "open": truth, "tags": [text]})
    (row,) = library.query("SELECT year, score, open, tags, $1 AS text FROM books WHERE slug = 'any'", [text])
    assert (row["year"], row["score"], row["open"], row["tags"], row["text"]) == (number, real, truth, [text], text)
    table = pyarrow.table(library.query_arrow("SELECT year, score, open, tags FROM books WHERE slug = 'any'"))
    assert table.to_pylist() == [{"year": number, "score": real, "open": truth, "tags": [text]}]


def test_error_messages_suggest_a_fix(library: Database) -> None:
    with pytest.raises(percolate_rocks.UnknownTableError, match="the tables are `articles`, `books`"):
        library.query("SELECT * FROM boks")
    refused = {
        "SELECT yeer FROM books": ("QueryUnknownColumn", "column `yeer` does not exist"),
        "SELEC year FROM books": ("QuerySyntax", "syntax error at line 1, column 1"),
        "DELETE FROM books": ("QueryRefused", "queries are read-only"),
        "": ("QueryEmpty", "write a SELECT"),
        "SELECT 1; SELECT 2": ("QuerySeveralStatements", "run them one by one"),
        "SELECT nothing(1)": ("QueryInvalid", "invalid query"),
    }
    for sql, (kind, message) in refused.items():
        with pytest.raises(percolate_rocks.QueryError, match=message) as caught:
            library.query(sql)
        assert caught.value.error_type == kind
    with pytest.raises(ValueError, match='two columns are called "slug".*AS'):
        library.query("SELECT a.slug, b.slug FROM books a JOIN books b ON a._id = b._id")
    assert library.query_arrow("SELECT a.slug, b.slug FROM books a JOIN books b ON a._id = b._id").num_rows == 3


def test_a_query_that_needs_too_much_memory_fails(tmp_path: Path) -> None:
    with Database(place(tmp_path / "db"), query_memory_limit=10_000) as db:
        db.register_schema("books", SCHEMA)
        db.insert_many("books", [{"slug": f"{n:05}" * 20} for n in range(1000)])
        with pytest.raises(percolate_rocks.QueryError, match="query_memory_limit") as caught:
            db.query("SELECT * FROM books ORDER BY slug")
        assert caught.value.error_type == "QueryMemory"


def test_tenants_query_their_own(library: Database) -> None:
    other = library.for_tenant("other")
    other.register_schema("books", SCHEMA)
    other.insert("books", {"slug": "theirs"})
    assert other.query("SELECT slug FROM books") == [{"slug": "theirs"}]
    assert len(library.query("SELECT slug FROM books")) == 3
    other.close()


# ---- Rows ----


def test_rows_are_iterated_as_tuples(library: Database) -> None:
    result = library.query_arrow("SELECT slug, year, seen, tags, score FROM books ORDER BY slug")
    assert [dict(zip(result.column_names, row, strict=True)) for row in result.iter_rows()] == result.to_dicts()
    rows = result.iter_rows()
    assert iter(rows) is rows
    assert len(list(rows)) == 3
    assert next(rows, None) is None
    twice = library.query_arrow("SELECT a.slug, b.slug FROM books a JOIN books b ON a._id = b._id WHERE a.year = 1957")
    assert [a == b for a, b in twice.iter_rows()] == [True]
    assert list(library.query_arrow("SELECT slug FROM books WHERE year = 3000").iter_rows()) == []
    many = library.query_arrow("SELECT value FROM generate_series(1, 20000)")
    assert [row for (row,) in many.iter_rows()] == list(range(1, 20001))


# ---- Arrow ----


def test_pyarrow_polars_and_pandas_read_a_result(library: Database) -> None:
    result = library.query_arrow("SELECT slug, year, seen, tags FROM books ORDER BY slug")
    assert (result.column_names, result.num_rows, len(result)) == (["slug", "year", "seen", "tags"], 3, 3)
    assert repr(result).startswith("<QueryResult of 3 rows: slug: Utf8, year: Int64, seen: Timestamp")
    expected = result.to_dicts()

    table = pyarrow.table(result)
    assert table.schema == pyarrow.schema(result)
    assert table.schema.field("seen").type == pyarrow.timestamp("us", tz="UTC")
    assert table.to_pylist() == expected

    frame = polars.DataFrame(result)
    assert frame.schema["seen"] == polars.Datetime("us", "UTC")
    assert frame["year"].to_list() == [row["year"] for row in expected]
    assert frame["tags"].to_list() == [row["tags"] for row in expected]

    data = pandas.DataFrame.from_arrow(result)  # type: ignore[attr-defined]
    assert list(data.columns) == result.column_names
    assert list(data["slug"]) == [row["slug"] for row in expected]


def test_a_result_outlives_its_database_and_can_be_read_repeatedly(tmp_path: Path) -> None:
    with Database(place(tmp_path / "db")) as db:
        db.register_schema("books", SCHEMA)
        db.insert_many("books", [{"slug": f"{n:05}", "year": n} for n in range(10_000)])
        result = db.query_arrow("SELECT slug, year FROM books")
    tables = [pyarrow.table(result) for _ in range(3)]
    first, *others = [[chunk.buffers()[1].address for chunk in table.column("year").chunks] for table in tables]
    assert others == [first, first], "the buffers were copied"
    del result, db
    gc.collect()
    assert sorted(tables[0].column("year").to_pylist()) == list(range(10_000))


def test_an_empty_result_has_its_schema(library: Database) -> None:
    result = library.query_arrow("SELECT slug, year FROM books WHERE year = 3000")
    assert pyarrow.table(result).schema.names == ["slug", "year"]
    assert polars.DataFrame(result).shape == (0, 2)


def test_a_reader_may_ask_for_other_types(library: Database) -> None:
    wanted = pyarrow.schema([("year", pyarrow.int32())])
    result = library.query_arrow("SELECT year FROM books WHERE year = 1957")
    reader = pyarrow.RecordBatchReader.from_stream(result, schema=wanted)
    assert reader.schema == wanted
    assert reader.read_all().to_pylist() == [{"year": 1957}]


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("300", pyarrow.int8()),
        ("1.5", pyarrow.int64()),
        ("9007199254740993", pyarrow.float64()),
        ("TIMESTAMP '2020-01-02 03:04:05.6'", pyarrow.timestamp("s")),
        ("'many'", pyarrow.int64()),
    ],
)
def test_a_value_that_does_not_fit_into_the_requested_type_raises(
    library: Database, expression: str, kind: pyarrow.DataType
) -> None:
    result = library.query_arrow(f"SELECT {expression} AS value")
    with pytest.raises(ValueError, match='cannot convert the column "value" from .* a value does not fit') as caught:
        pyarrow.RecordBatchReader.from_stream(result, schema=pyarrow.schema([("value", kind)]))
    assert "300" not in str(caught.value)
    fitting = pyarrow.schema([("value", pyarrow.float32())])
    half = library.query_arrow("SELECT 0.1 AS value")
    assert pyarrow.RecordBatchReader.from_stream(half, schema=fitting).read_all().schema == fitting


def test_unread_streams_are_released(library: Database) -> None:
    result = library.query_arrow("SELECT * FROM books")
    before = sys.getrefcount(result)
    for _ in range(1000):
        result.__arrow_c_stream__()
        result.__arrow_c_schema__()
    assert sys.getrefcount(result) == before


# ---- telemetry, threads, interruption ----


def test_a_query_is_a_child_of_the_python_span_and_its_reads_are_below(
    library: Database, percolate_spans: CapturedSpans
) -> None:
    percolate_spans.clear()
    with percolate_spans.tracer().start_as_current_span("request") as request:
        library.query("SELECT slug FROM books WHERE year = 1957")
    query = percolate_spans.one("SELECT books")
    assert query.parent is not None
    assert query.parent.span_id == request.get_span_context().span_id
    assert query.attributes is not None
    assert query.attributes["db.query.text"] == "SELECT slug FROM books WHERE year = ?"
    assert query.attributes["db.query.summary"] == "SELECT books"
    assert query.attributes["db.response.returned_rows"] == 1
    below = [span for span in percolate_spans.finished() if span.parent and span.parent.span_id == query.context.span_id]
    assert any(span.name == "scan field_index" for span in below), percolate_spans.tree()
    with percolate_spans.tracer().start_as_current_span("failing"), pytest.raises(percolate_rocks.QueryError):
        library.query("SELECT yeer FROM books WHERE slug = 'secret'")
    failed = percolate_spans.finished("SELECT books")[-1]
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "QueryUnknownColumn"
    assert "secret" not in failed.to_json()


def test_a_query_accepts_an_explicit_parent(library: Database, percolate_spans: CapturedSpans) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    library.query_arrow("SELECT 1", trace_context={"traceparent": parent})
    (query,) = [span for span in percolate_spans.finished() if span.name.startswith("SELECT")]
    assert query.parent is not None
    assert f"{query.parent.span_id:016x}" == "b7ad6b7169203331"


async def test_queries_are_awaited(library: Database, percolate_spans: CapturedSpans) -> None:
    db = AsyncDatabase(library)
    with percolate_spans.tracer().start_as_current_span("request") as request:
        rows = await db.query("SELECT count(*) AS n FROM books WHERE year < $1", [1960])
        result = await db.query_arrow("SELECT count(*) AS n FROM books")
    assert (rows, result.to_dicts()) == ([{"n": 1}], [{"n": 3}])
    parents = {span.parent.span_id for span in percolate_spans.finished("SELECT books") if span.parent}
    assert parents == {request.get_span_context().span_id}


def test_queries_run_during_writes(library: Database) -> None:
    def write() -> None:
        for n in range(200):
            library.upsert("books", {"slug": f"w{n}", "year": n})

    writer = threading.Thread(target=write)
    writer.start()
    counts = []
    while writer.is_alive():
        counts.append(library.query("SELECT count(*) AS n FROM books")[0]["n"])
    writer.join()
    assert counts == sorted(counts)
    assert library.query("SELECT count(*) AS n FROM books") == [{"n": 203}]


def test_ctrl_c_ends_a_query(tmp_path: Path) -> None:
    script = INTERRUPTED + """
    db = Database(sys.argv[1])
    db.register_schema("t", {"properties": {"n": {"type": "integer"}}})
    db.insert_many("t", [{"n": n} for n in range(1500)])
    started = after(0.5)
    try:
        db.query("SELECT sum(a.n * b.n % 7 + c.n) AS s FROM t a, t b, t c WHERE a.n + b.n + c.n < 4000")
    except KeyboardInterrupt:
        print("interrupted", time.monotonic() - started < 1.5)
    def error_types():
        percolate_rocks.force_flush()
        queries = [span for span in spans.get_finished_spans() if span.name.startswith("SELECT")]
        return [span.attributes["error.type"] for span in queries]
    deadline = time.monotonic() + 30
    while not error_types() and time.monotonic() < deadline:
        time.sleep(0.1)
    print(error_types())
    print(db.query("SELECT count(*) AS n FROM t"))
    """
    printed = run(script, place(tmp_path / "db")).splitlines()
    assert printed == ["interrupted True", "['cancelled']", "[{'n': 1500}]"]
