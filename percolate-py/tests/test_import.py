"""Imports and exports as lines of JSON: sources, targets, refused rows, and ends in the middle."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from place import place

from percolate_rocks import (
    AsyncDatabase,
    ClosedError,
    Database,
    EmbeddingError,
    EntityError,
    OperationTimeoutError,
    ReadOnlyError,
    RowsRefusedError,
    UnknownTableError,
)
from percolate_rocks._pytest_plugin import CapturedSpans

SCHEMA = {
    "properties": {"slug": {"type": "string"}, "year": {"type": "integer"}, "price": {"type": "string"}},
    "required": ["slug"],
    "key_field": "slug",
    "indexed_fields": ["year"],
}


@pytest.fixture
def library(db: Database) -> Database:
    db.register_schema("articles", SCHEMA)
    return db


def numbered(count: int) -> list[str]:
    return [json.dumps({"slug": str(n), "year": n}) for n in range(count)]


def test_an_import_of_an_export_restores_the_entities(library: Database, tmp_path: Path) -> None:
    library.register_schema("notes", {})
    library.insert_many("articles", [{"slug": f"é {n}", "more": {"list": [n, None, 1.5]}} for n in range(20)])
    library.insert_many("notes", [{"n": n} for n in range(5)])
    library.update("articles", key="é 3", changes={"year": 1957})
    with Database(place(tmp_path / "copy")) as copy:
        for table, schema, count in [("articles", SCHEMA, 20), ("notes", {}, 5)]:
            copy.register_schema(table, schema)
            file = tmp_path / f"{table}.jsonl"
            assert library.export_jsonl(table, file) == count
            report = copy.import_jsonl(table, file)
            assert report == {"rows": count, "written": count, "unchanged": 0, "refused": 0, "errors": []}
            assert list(copy.scan(table)) == list(library.scan(table))
        again = copy.import_jsonl("articles", str(tmp_path / "articles.jsonl"), existing="replace")
        assert (again["written"], again["unchanged"]) == (0, 20)
        assert [row["slug"] for row in copy.find("articles", "year", 1957)] == ["é 3"]


@dataclass
class Article:
    slug: str
    year: int


def test_rows_are_lines_or_data(library: Database, tmp_path: Path) -> None:
    rows: list[Any] = [
        '{"slug": "text"}',
        b'{"slug": "bytes"}\n',
        bytearray(b'{"slug": "bytearray"}'),
        {"slug": "dict", "printed": date(1957, 7, 1), "price": Decimal("1.50")},
        Article("dataclass", 1957),
        "  ",
    ]
    assert library.import_jsonl("articles", iter(rows))["written"] == 5
    read = library.get("articles", key="dict")
    assert read is not None and (read["printed"], read["price"]) == ("1957-07-01", "1.50")
    path = tmp_path / "lines"
    path.write_text("\ufeff" + "\r\n\r\n".join(numbered(3)), encoding="utf-8")
    for mode in ("r", "rb"):
        encoding = None if "b" in mode else "utf-8"
        with path.open(mode, encoding=encoding, newline="" if encoding else None) as file:
            assert library.import_jsonl("articles", file, existing="replace")["rows"] == 3
    assert library.import_jsonl("articles", io.StringIO("\n".join(numbered(3))), existing="skip")["unchanged"] == 3
    assert library.import_jsonl("articles", [])["rows"] == 0


def test_each_refused_row_is_reported_with_its_line(library: Database) -> None:
    library.insert("articles", {"slug": "taken"})
    rows: list[Any] = [
        {"slug": "good"},
        '{"slug": ',
        b"\xff",
        "\ud800",
        {"slug": 7},
        {"year": 1},
        {"slug": "x", "more": {1, 2}},
        {"slug": "y", "more": float("nan")},
        7,
        {"slug": "taken"},
        "x" * 50,
        "\n",
        {"slug": "last"},
    ]
    report = library.import_jsonl("articles", rows, on_error="skip", max_line_length=40, batch_size=4)
    assert (report["rows"], report["written"], report["refused"]) == (12, 2, 10)
    expected = {
        2: "invalid JSON at column 9: EOF while parsing a value",
        3: "invalid UTF-8 at byte 1",
        4: "the line is not valid Unicode",
        5: "the entity does not fit the schema of `articles`: at `/slug`: value is not of type \"string\"",
        6: "the entity does not fit the schema of `articles`: at `/`: \"slug\" is a required property",
        7: "`more` is a set, which JSON cannot hold",
        8: "`more` is not a finite number",
        9: "an entity of `articles` must be a JSON object",
        10: f"entity {library.get('articles', key='taken')['_id']}, with the same key or `_id`, exists",  # type: ignore[index]
        11: "the line is longer than 40 bytes",
    }
    assert {error["line"]: error["reason"] for error in report["errors"]} == expected
    assert library.count("articles") == 3


def test_an_import_that_aborts_writes_nothing(library: Database, tmp_path: Path) -> None:
    lines = [*numbered(3000), "secret", json.dumps({"slug": "7"})]
    path = tmp_path / "lines"
    path.write_text("\n".join(lines))
    for source in (path, lines, (line for line in lines)):
        with pytest.raises(RowsRefusedError, match="2 of 3002 rows were refused, and nothing was written: line 3001:") as caught:
            library.import_jsonl("articles", source)
        assert isinstance(caught.value, EntityError)
        assert caught.value.error_type == "RowsRefused"
        report = caught.value.report
        assert (report["rows"], report["written"], report["refused"]) == (3002, 0, 2)
        assert [error["line"] for error in report["errors"]] == [3001, 3002]
        assert "secret" not in str(caught.value)
    assert library.count("articles") == 0


def test_arguments_are_checked(library: Database, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='on_error must be "abort" or "skip", not "ignore"'):
        library.import_jsonl("articles", [], on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='existing must be "error", "replace" or "skip"'):
        library.import_jsonl("articles", [], existing="keep")  # type: ignore[arg-type]
    for source in ({"slug": "a"}, b'{"slug": "a"}', 7, None):
        with pytest.raises(TypeError, match="the source must be a path, an open file, or an iterable"):
            library.import_jsonl("articles", source)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the target must be a path or an open file, not list"):
        library.export_jsonl("articles", [])  # type: ignore[arg-type]
    with pytest.raises(UnknownTableError):
        library.import_jsonl("nothing", [])
    with pytest.raises(UnknownTableError):
        library.export_jsonl("nothing", io.BytesIO())
    missing = tmp_path / "missing" / "file"
    with pytest.raises(FileNotFoundError) as caught:
        library.import_jsonl("articles", missing)
    assert caught.value.filename == missing
    with pytest.raises(FileNotFoundError):
        library.export_jsonl("articles", missing)
    with pytest.raises(IsADirectoryError):
        library.import_jsonl("articles", tmp_path)


def test_a_read_only_database_refuses_an_import(library: Database, tmp_path: Path) -> None:
    library.insert("articles", {"slug": "a"})
    library.close()
    with Database(place(tmp_path / "db"), read_only=True) as db:
        with pytest.raises(ReadOnlyError):
            db.import_jsonl("articles", numbered(1))
        assert db.export_jsonl("articles", io.BytesIO()) == 1


class Raw(io.RawIOBase):
    """A file that takes a few bytes at a time."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += bytes(data[:7])
        return min(len(data), 7)


def test_an_export_writes_to_files_of_text_and_bytes(library: Database, tmp_path: Path) -> None:
    library.insert_many("articles", [{"slug": f"é{n}" * 100} for n in range(500)])
    text, data, raw = io.StringIO(), io.BytesIO(), Raw()
    for target in (text, data, raw):
        assert library.export_jsonl("articles", target) == 500
    lines = text.getvalue()
    assert lines.encode() == data.getvalue() == raw.data
    rows = [json.loads(line) for line in lines.splitlines()]
    assert rows == list(library.scan("articles"))
    with (tmp_path / "file").open("w", encoding="utf-8") as file:
        library.export_jsonl("articles", file)
    assert (tmp_path / "file").read_text(encoding="utf-8") == lines

    class Failing:
        def write(self, data: bytes) -> None:
            if data:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        library.export_jsonl("articles", Failing())


def test_a_failed_export_leaves_the_earlier_file(library: Database, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("earlier")
    library.insert("articles", {"slug": "a"})

    def fail(done: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        library.export_jsonl("articles", path, on_progress=fail)
    assert path.read_text() == "earlier"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "db", path]
    with pytest.raises(OperationTimeoutError):
        library.export_jsonl("articles", path, timeout=0)
    assert path.read_text() == "earlier"


def test_the_progress_is_reported_in_the_span_of_the_import(library: Database, percolate_spans: CapturedSpans) -> None:
    seen = []

    def on_progress(done: int) -> None:
        seen.append((done, trace.get_current_span().get_span_context().span_id))

    with percolate_spans.tracer().start_as_current_span("request"):
        library.import_jsonl("articles", numbered(5), on_error="skip", batch_size=2, on_progress=on_progress)
        library.export_jsonl("articles", io.BytesIO(), on_progress=on_progress)
    assert [done for done, _ in seen] == [2, 4, 5, 5]
    imported, exported = percolate_spans.one("import articles"), percolate_spans.one("export articles")
    assert imported.attributes is not None and imported.attributes["db.operation.batch.size"] == 5
    assert {span for _, span in seen[:3]} == {imported.context.span_id}
    assert seen[3][1] == exported.context.span_id


def test_an_exception_in_the_middle_leaves_whole_batches(library: Database) -> None:
    def rows() -> Iterator[str]:
        yield from numbered(25)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        library.import_jsonl("articles", rows(), on_error="skip", batch_size=10)
    assert library.count("articles") == 20
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__ == ["20 rows were written before"]

    def on_progress(done: int) -> None:
        if done == 20:
            raise KeyError(done)

    library.drop_table("articles")
    library.register_schema("articles", SCHEMA)
    with pytest.raises(KeyError):
        library.import_jsonl("articles", numbered(30), on_error="skip", batch_size=10, on_progress=on_progress)
    assert library.count("articles") == 20
    with pytest.raises(ZeroDivisionError):
        library.import_jsonl("articles", rows(), existing="replace")
    with pytest.raises(OperationTimeoutError):
        library.import_jsonl("articles", numbered(5), existing="replace", timeout=0)
    assert library.count("articles") == 20


def test_a_source_may_use_its_thread_and_the_database(library: Database) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE old (slug TEXT)")
    connection.executemany("INSERT INTO old VALUES (?)", [(str(n),) for n in range(300)])
    rows = ({"slug": slug} for (slug,) in connection.execute("SELECT slug FROM old"))
    assert library.import_jsonl("articles", rows)["written"] == 300
    connection.close()
    copies = ({**row, "slug": f"copy of {row['slug']}"} for row in library.scan("articles", page_size=10))
    assert library.import_jsonl("articles", copies, on_error="skip", batch_size=50)["written"] >= 300


@contextmanager
def endless_import(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that imports without an end, in batches of 100, and prints what is left after Ctrl-C."""
    script = """
    import json, sys
    from percolate_rocks import Database

    def rows():
        n = 0
        while True:
            yield {"n": n}
            n += 1
            if n == 1000:
                print("started", flush=True)

    with Database(sys.argv[1], sync=True) as db:
        db.register_schema("notes", {})
        try:
            db.import_jsonl("notes", rows(), on_error="skip", batch_size=100)
        except KeyboardInterrupt:
            print(db.count("notes") % 100)
    """
    lines = [line[4:] for line in script.splitlines()]
    command = [sys.executable, "-c", "\n".join(lines), str(place(path))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield process


def test_ctrl_c_leaves_whole_batches(tmp_path: Path) -> None:
    with endless_import(tmp_path / "interrupted") as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.read() == "0\n"
    assert process.returncode == 0


def test_a_killed_process_leaves_whole_batches(tmp_path: Path) -> None:
    with endless_import(tmp_path / "killed") as process:
        process.kill()
    with Database(place(tmp_path / "killed")) as db:
        count = db.count("notes")
        assert count > 0 and count % 100 == 0
        assert db.verify_indexes()["failed"] == 0


def test_closing_ends_an_import_after_a_batch(library: Database, tmp_path: Path) -> None:
    started = threading.Event()
    errors: list[BaseException] = []

    def rows() -> Iterator[dict[str, Any]]:
        for n in range(10_000_000):
            yield {"slug": str(n)}
            if n == 1000:
                started.set()

    def run() -> None:
        try:
            library.import_jsonl("articles", rows(), on_error="skip", batch_size=100)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(60)
    library.close()
    thread.join()
    assert [type(error) for error in errors] == [ClosedError]
    with Database(place(tmp_path / "db")) as db:
        assert db.count("articles") % 100 == 0


async def test_the_asynchronous_database_imports_and_exports(tmp_path: Path) -> None:
    async with await AsyncDatabase.open(place(tmp_path / "async")) as db:
        await db.register_schema("articles", SCHEMA)
        report = await db.import_jsonl("articles", numbered(10))
        assert report["written"] == 10
        file = io.StringIO()
        assert await db.export_jsonl("articles", file) == 10
        assert len(file.getvalue().splitlines()) == 10

        def endless() -> Iterator[dict[str, Any]]:
            n = 0
            while True:
                yield {"slug": f"endless {n}"}
                n += 1

        task = asyncio.create_task(db.import_jsonl("articles", endless(), on_error="skip", batch_size=100))
        while await db.count("articles") == 10:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with Database(place(tmp_path / "async")) as database:
        assert database.count("articles") % 100 == 10


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_read_once(library: Database, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text("\n".join(numbered(50))))
    writer.start()
    assert library.import_jsonl("articles", pipe)["written"] == 50
    writer.join()
    reader: list[str] = []
    thread = threading.Thread(target=lambda: reader.append(pipe.read_text()))
    thread.start()
    assert library.export_jsonl("articles", pipe) == 50
    thread.join()
    assert len(reader[0].splitlines()) == 50
    library.delete_where("articles", "true")
    thread = threading.Thread(target=lambda: reader.append(pipe.read_text()))
    thread.start()
    assert library.export_jsonl("articles", pipe) == 0
    thread.join(30)
    assert reader[1:] == [""]


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs named pipes")
    os.mkfifo(tmp_path / "waiting")
    return tmp_path / "waiting"


def test_a_timeout_ends_the_wait_for_a_pipe(library: Database, pipe: Path) -> None:
    with pytest.raises(OperationTimeoutError):
        library.import_jsonl("articles", pipe, timeout=0.2)
    with pytest.raises(OperationTimeoutError):
        library.export_jsonl("articles", pipe, timeout=0.2)
    # Both ends are open: nothing is written, and nothing is read.
    descriptor = os.open(pipe, os.O_RDWR)
    os.write(descriptor, b'{"slug": "a"}\n{"sl')
    with pytest.raises(OperationTimeoutError):
        library.import_jsonl("articles", pipe, timeout=0.2)
    library.import_jsonl("articles", numbered(5000))
    with pytest.raises(OperationTimeoutError):
        library.export_jsonl("articles", pipe, timeout=0.2)
    os.close(descriptor)
    assert library.count("articles") == 5000


def test_closing_and_cancelling_end_the_wait_for_a_pipe(library: Database, pipe: Path) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            library.import_jsonl("articles", pipe)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    # A writer can open the pipe when the import waits for it.
    while True:
        try:
            descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError:
            threading.Event().wait(0.01)
    library.close(timeout=30)
    thread.join(30)
    os.close(descriptor)
    assert [type(error) for error in errors] == [ClosedError]


def test_ctrl_c_ends_the_wait_for_a_pipe(library: Database, pipe: Path) -> None:
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        library.import_jsonl("articles", pipe, timeout=60)
    assert library.count("articles") == 0


def test_data_in_another_form_is_refused_with_the_remedy(library: Database, tmp_path: Path) -> None:
    lines = "\n".join(numbered(2))
    for data, reason in [
        (gzip.compress(lines.encode()), "compressed with gzip; decompress it first, in Python with gzip.open"),
        (lines.encode("utf-16"), "the data is in UTF-16; convert it to UTF-8"),
        (json.dumps([{"slug": "a"}], indent=2).encode(), "an array begins here; each line must be one object"),
    ]:
        path = tmp_path / "other"
        path.write_bytes(data)
        with pytest.raises(RowsRefusedError, match=reason):
            library.import_jsonl("articles", path)

    async def rows() -> AsyncIterator[str]:
        yield "{}"

    with pytest.raises(TypeError, match="an iterable that is not asynchronous, not async_generator"):
        library.import_jsonl("articles", rows())  # type: ignore[arg-type]


@pytest.mark.skipif(os.name != "posix", reason="needs permissions of POSIX")
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_an_export_keeps_the_permissions_and_writes_through_links(library: Database, tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow.parquet")
    export = getattr(library, f"export_{form}")
    library.import_jsonl("articles", numbered(3))
    private = tmp_path / "private"
    private.touch(0o600)
    export("articles", private)
    assert private.stat().st_size > 0 and private.stat().st_mode & 0o777 == 0o600
    (tmp_path / "ordinary").touch()
    export("articles", tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "ordinary").stat().st_mode
    link = tmp_path / "link"
    link.symlink_to("target")
    export("articles", link)
    assert link.is_symlink() and (tmp_path / "target").read_bytes() == (tmp_path / "new").read_bytes()
    export("articles", "/dev/null")
    assert Path("/dev/null").is_char_device()
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_error_of_a_device_names_it(library: Database) -> None:
    library.import_jsonl("articles", numbered(3))
    with pytest.raises(OSError, match="/dev/full"):
        library.export_jsonl("articles", "/dev/full")


class Embedder:
    """Keeps the texts that it receives."""

    def __init__(self, name: str = "mine", dimensions: int = 3) -> None:
        self.name, self.dimensions = name, dimensions
        self.texts: list[str] = []

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        return [[0.25, *[0.1] * (self.dimensions - 1)] for _ in texts]


@contextmanager
def with_vectors(folder: Path, embedder: Embedder) -> Iterator[Database]:
    with Database(place(folder), embedder=embedder) as db:
        db.register_schema("articles", {"key_field": "slug", "embedding_fields": ["body"]})
        yield db


def test_an_import_of_an_export_with_vectors_calls_no_embedder(tmp_path: Path) -> None:
    first, second = Embedder(), Embedder()
    path = tmp_path / "articles.jsonl"
    with with_vectors(tmp_path / "first", first) as db:
        db.insert("articles", {"slug": "a", "body": "theirs"})
        db.generate_embeddings("articles")
        db.insert("articles", {"slug": "b", "body": "mine"}, vectors={"body": [0.3, 0.0, 0.1]})
        assert db.export_jsonl("articles", path, vectors=True) == 2
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        by_slug = {line["slug"]: (line["_vectors"], line.get("_embedded_by")) for line in lines}
        assert by_slug == {
            "a": ({"body": [0.25, 0.1, 0.1]}, {"body": "mine"}),
            "b": ({"body": [0.3, 0.0, 0.1]}, None),
        }
        plain = io.StringIO()
        db.export_jsonl("articles", plain)
        assert "_vectors" not in plain.getvalue()
    with with_vectors(tmp_path / "second", second) as copy:
        for rows in (path, lines, path.read_text().splitlines()):
            assert copy.import_jsonl("articles", rows)["written"] == 2
            assert copy.generate_embeddings("articles")["embedded"] == 0 and second.texts == []
            found = copy.search_vector("articles", [0.3, 0.0, 0.1], limit=1)
            assert [entity["slug"] for entity, _ in found] == ["b"]
            assert copy.verify_indexes()["missing"] == 0
            file = io.StringIO()
            copy.export_jsonl("articles", file, vectors=True)
            assert file.getvalue() == path.read_text()
            copy.delete_where("articles", "true")
        # A line is also data of a write.
        copy.insert_many("articles", lines)
        assert copy.embedding_status("articles")["waiting"] == 0
        # The supplied vector stays.
        copy.mark_for_embedding("articles")
        copy.generate_embeddings("articles")
        assert second.texts == ["theirs"]


def test_vectors_of_another_embedder_are_refused_or_ignored(tmp_path: Path) -> None:
    path = tmp_path / "articles.jsonl"
    with with_vectors(tmp_path / "first", Embedder()) as db:
        db.insert("articles", {"slug": "a", "body": "text"})
        db.generate_embeddings("articles")
        db.export_jsonl("articles", path, vectors=True)
    for other, reason in [
        (Embedder(dimensions=4), "line 1: cannot store a vector of 3 numbers for `body`: the embedding provider has 4"),
        (Embedder(name="other"), "line 1: cannot store the vector of `body`: `_embedded_by` names another .* `other`"),
    ]:
        with with_vectors(tmp_path / f"{other.name} {other.dimensions}", other) as db:
            with pytest.raises(RowsRefusedError, match=reason) as refused:
                db.import_jsonl("articles", path)
            assert "0.25" not in str(refused.value)
            assert db.count("articles") == 0
            assert db.import_jsonl("articles", path, ignore_vectors=True)["written"] == 1
            db.generate_embeddings("articles")
            assert other.texts == ["text"]
    with with_vectors(tmp_path / "first", Embedder(dimensions=4)) as db:
        with pytest.raises(EmbeddingError, match="cannot export a vector of 3 numbers of `body`"):
            db.export_jsonl("articles", tmp_path / "none.jsonl", vectors=True)
    assert not (tmp_path / "none.jsonl").exists()


async def test_the_asynchronous_database_moves_vectors(tmp_path: Path) -> None:
    path, parquet = tmp_path / "articles.jsonl", tmp_path / "articles.parquet"
    embedder = Embedder()
    async with await AsyncDatabase.open(place(tmp_path / "async"), embedder=embedder) as db:
        schema = {"properties": {"slug": {}}, "key_field": "slug", "embedding_fields": ["slug"]}
        await db.register_schema("articles", schema)
        await db.insert("articles", {"slug": "a"}, vectors={"slug": [1, 2, 3]})
        await db.export_jsonl("articles", path, vectors=True)
        assert '"_vectors":{"slug":[1.0,2.0,3.0]}' in path.read_text()
        await db.delete("articles", key="a")
        await db.import_jsonl("articles", path, ignore_vectors=True)
        assert (await db.embedding_status("articles"))["waiting"] == 1
        await db.import_jsonl("articles", path, existing="replace")
        assert (await db.embedding_status("articles"))["waiting"] == 0
        pytest.importorskip("pyarrow.parquet")
        await db.export_parquet("articles", parquet, vectors=True)
        await db.purge("articles", key="a")
        await db.import_parquet("articles", parquet)
        assert (await db.embedding_status("articles"))["waiting"] == 0
        await db.purge("articles", key="a")
        await db.import_parquet("articles", parquet, ignore_vectors=True)
        assert (await db.embedding_status("articles"))["waiting"] == 1
