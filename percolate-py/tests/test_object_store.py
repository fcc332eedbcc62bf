"""Databases on object stores: URLs and their options, the one writer, readers that follow it, and forks."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from test_telemetry import run

import percolate_rocks
from percolate_rocks import AsyncDatabase, Database, FencedError, UnavailableError, UrlError
from percolate_rocks._pytest_plugin import CapturedSpans

SCHEMA = {"properties": {"n": {"type": "integer"}}, "key_field": "n"}

#: A value that must not appear anywhere.
CANARY = "canary-71f3"

#: An endpoint that refuses connections, with credentials.
REFUSING = {
    "aws_endpoint": "http://127.0.0.1:1",
    "aws_allow_http": "true",
    "aws_region": "eu-central-1",
    "aws_access_key_id": CANARY,
    "aws_secret_access_key": CANARY,
}


def numbers(db: Database) -> list[int]:
    return sorted(row["n"] for row in db.scan("numbers"))


def filled(url: str | Path, **options: Any) -> Database:
    """Open a database whose writes are durable at once, so that readers see them."""
    db = Database(url, sync=True, **options)
    db.register_schema("numbers", SCHEMA)
    db.upsert("numbers", {"n": 1})
    return db


@contextmanager
def process(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process that prints lines and reads lines."""
    text = textwrap.dedent(script)
    command = [sys.executable, "-W", "error", "-c", text, *map(str, arguments)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def answer(child: subprocess.Popen[str], line: str = "") -> str:
    assert child.stdin is not None and child.stdout is not None
    if line:
        child.stdin.write(line + "\n")
        child.stdin.flush()
    return child.stdout.readline().strip()


# ---- URLs and options ----


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_a_url_opens_a_database_with_everything_that_one_in_a_directory_has(tmp_path: Path, scheme: str) -> None:
    url = f"{scheme}://{tmp_path}/books"
    with filled(url) as db:
        assert (db.path, db.system, db.namespace) == (url, "slatedb", "books")
        assert repr(db) == f'Database("{url}", tenant="default")'
        assert db.query("SELECT n FROM numbers") == [{"n": 1}]
        with Database(url, read_only=True) as reader:
            assert (reader.path, numbers(reader)) == (url, [1])
            with pytest.raises(percolate_rocks.ReadOnlyError):
                reader.insert("numbers", {"n": 2})
        assert db.for_tenant("other").path == url
    if scheme == "file":
        with Database(url, create_if_missing=False) as again:
            assert numbers(again) == [1]


def test_a_scheme_can_be_written_in_any_letter_case(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/Books"
    with filled(url.replace("file", "FILE"), flush_interval=0.01) as db:
        assert (db.path, db.namespace) == (url, "Books")
        assert repr(db) == f'Database("{url}", tenant="default")'
        assert db.for_tenant("other").path == url
        assert db.copy_to(url.replace("file://", "Memory://"))["entries"] > 0
    for written in ("S3://bucket/prefix", f"FILE://{tmp_path}"):
        with pytest.raises(ValueError, match="pass the URL as a str"):
            Database(Path(written))
    with pytest.raises(UrlError, match="at s3://bucket/x: the URL must not have a query"):
        Database("S3://bucket/x?y")


def test_a_directory_is_still_a_path_and_rocksdb(tmp_path: Path) -> None:
    with Database(str(tmp_path / "db")) as db:
        assert (db.path, db.system) == (tmp_path / "db", "rocksdb")


async def test_an_async_database_opens_a_url_with_its_options(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/db"
    async with await AsyncDatabase.open(url, flush_interval=0.01, object_store_retries=1) as db:
        await db.register_schema("numbers", SCHEMA)
        await db.insert("numbers", {"n": 1})
    async with await AsyncDatabase.open(url, read_only=True, refresh_every=0) as db:
        assert await db.count("numbers") == 1


def test_a_database_in_memory_is_shared_by_its_name_and_gone_with_its_last_handle(tmp_path: Path) -> None:
    url = f"memory://{tmp_path}"
    with filled(url), Database(url, read_only=True) as reader, filled(f"{url}-2") as other:
        other.upsert("numbers", {"n": 2})
        assert (numbers(reader), numbers(other)) == ([1], [1, 2])
    with pytest.raises(percolate_rocks.MissingError):
        Database(url, create_if_missing=False)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3:///prefix", "the bucket is missing"),
        ("gs://bucket", "there are no object stores for `gs://`"),
        ("file://db/x", "write three slashes"),
        ("file:///", "the directory is missing"),
    ],
)
def test_a_malformed_url_is_refused_with_what_to_write(url: str, message: str) -> None:
    with pytest.raises(UrlError, match=message) as raised:
        Database(url)
    assert isinstance(raised.value, percolate_rocks.OpenError)
    assert raised.value.error_type == "Url"


def test_a_url_as_a_path_object_is_refused_because_it_has_lost_slashes(tmp_path: Path) -> None:
    for url in ("s3://bucket/prefix", f"file://{tmp_path}", "memory:///x"):
        with pytest.raises(ValueError, match="pass the URL as a str"):
            Database(Path(url))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"), [("object_store_options", {}), ("flush_interval", 1.0), ("object_store_retries", 3)]
)
def test_an_option_of_object_stores_is_refused_for_a_directory(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} is for databases on an object store, and the path is a directory"):
        Database(tmp_path / "db", **{name: value})  # type: ignore[arg-type]
    assert not (tmp_path / "db").exists()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"flush_interval": 0}, ValueError, "flush_interval must be a number of seconds above 0, not 0"),
        ({"flush_interval": -1.5}, ValueError, "flush_interval must be a number of seconds above 0, not -1.5"),
        ({"flush_interval": float("inf")}, ValueError, "flush_interval must be"),
        ({"object_store_retries": -1}, ValueError, "object_store_retries must be a number from 0 to 4294967295, not -1"),
        ({"object_store_retries": "3"}, TypeError, "integer"),
        ({"object_store_options": CANARY}, TypeError, "must be a mapping from names to texts"),
        ({"object_store_options": {1: CANARY}}, TypeError, "a name is of type int"),
        ({"object_store_options": {"aws_region": [CANARY]}}, TypeError, "the value of `aws_region` is of type list"),
        ({"read_only": True, "refresh_every": -1}, ValueError, "refresh_every must be a number of seconds, 0 or more"),
        ({"refresh_every": 1}, ValueError, "refresh_every is for handles with read_only=True"),
    ],
)
def test_an_option_out_of_its_range_is_refused(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        Database(f"file://{tmp_path}/db", **options)
    assert CANARY not in str(raised.value)
    assert not (tmp_path / "db").exists()


@pytest.mark.parametrize(
    ("url", "place", "name"),
    [
        ("s3://bucket/prefix", "S3", "aws_regoin"),
        ("file://{tmp_path}/db", "`file://`", "aws_region"),
        ("memory://", "`memory://`", "aws_region"),
    ],
)
def test_an_option_that_the_store_does_not_have_is_refused_without_its_value(
    tmp_path: Path, url: str, place: str, name: str
) -> None:
    with pytest.raises(UrlError, match=f"with options that {place} does not have: `{name}`;") as raised:
        Database(url.format(tmp_path=tmp_path), object_store_options=MappingProxyType({name: CANARY}))
    assert raised.value.error_type == "UnknownOptions"
    assert CANARY not in repr(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_does_not_answer_is_unavailable_and_no_credential_is_shown(
    percolate_spans: CapturedSpans, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnavailableError, match="s3://bucket/prefix") as raised:
        Database("s3://bucket/prefix", object_store_options=REFUSING, object_store_retries=0)
    assert isinstance(raised.value, ConnectionError)
    assert (raised.value.error_type, raised.value.status_code) == ("Unavailable", "Unavailable")
    causes: list[BaseException] = [raised.value]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    shown = [repr(cause) for cause in causes] + [span.to_json() for span in percolate_spans.finished()]
    assert CANARY not in "".join(shown) + "".join(capfd.readouterr())


def test_credentials_in_a_url_are_refused_and_not_shown() -> None:
    with pytest.raises(UrlError, match="must not contain a user or a password") as raised:
        Database(f"s3://user:{CANARY}@bucket/prefix")
    assert CANARY not in str(raised.value)
    with pytest.raises(UrlError, match="must not have a query") as raised:
        Database(f"s3://bucket/prefix?secret={CANARY}")
    assert CANARY not in str(raised.value)


def test_ctrl_c_ends_the_wait_for_a_store_that_does_not_answer() -> None:
    script = """
    import _thread, json, sys, threading, time
    from percolate_rocks import Database

    threading.Timer(0.5, _thread.interrupt_main).start()
    start = time.monotonic()
    try:
        Database("s3://bucket/prefix", object_store_options=json.loads(sys.argv[1]), object_store_retries=20)
    except KeyboardInterrupt:
        print(time.monotonic() - start < 4)
    """
    assert run(script, json.dumps(REFUSING)) == "True\n"


def test_what_the_engine_cannot_do_is_an_error_that_names_it(tmp_path: Path) -> None:
    with filled(f"file://{tmp_path}/db") as db:
        with pytest.raises(percolate_rocks.UnsupportedError, match="SlateDB does not support it"):
            db.checkpoint(tmp_path / "copy")
        with pytest.raises(percolate_rocks.MaintenanceError):
            db.compact()
        db.flush()


def test_a_copy_to_another_place_and_back_has_every_tenant(tmp_path: Path) -> None:
    url, counts = f"file://{tmp_path}/there", []
    with filled(tmp_path / "here") as db:
        other = db.for_tenant("other")
        other.register_schema("numbers", SCHEMA)
        other.insert("numbers", {"n": 7})
        report = db.copy_to(url, object_store_retries=1, on_progress=counts.append)
        assert report["entries"] == counts[-1] > 0
        assert report["column_families"] > 1 and report["bytes"] > report["entries"]
    with Database(url) as there:
        assert (numbers(there), numbers(there.for_tenant("other"))) == ([1], [7])
        assert there.copy_to(tmp_path / "back") == report
        with pytest.raises(percolate_rocks.OpenError, match="it has data in the column family") as raised:
            there.copy_to(tmp_path / "back")
        assert raised.value.error_type == "NotEmpty"
        with pytest.raises(ValueError, match="object_store_options is for databases on an object store"):
            there.copy_to(tmp_path / "more", object_store_options={})
    with Database(tmp_path / "back") as back:
        assert (back.system, numbers(back)) == ("rocksdb", [1])


def test_a_copy_ends_with_an_exception_of_its_progress_and_at_its_timeout(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        raise LookupError("enough")

    with filled(tmp_path / "here") as db:
        with pytest.raises(LookupError, match="enough"):
            db.copy_to(f"file://{tmp_path}/there", on_progress=stop)
        with pytest.raises(percolate_rocks.OperationTimeoutError):
            db.copy_to(f"file://{tmp_path}/elsewhere", timeout=0)
        with pytest.raises(UnavailableError):
            db.copy_to("s3://bucket/x", object_store_options=REFUSING, object_store_retries=0)


async def test_a_copy_is_awaited(tmp_path: Path) -> None:
    async with AsyncDatabase(filled(tmp_path / "here")) as db:
        report = await db.copy_to(f"memory://{tmp_path}")
        assert report["entries"] > 0


def test_the_default_database_can_be_a_url(tmp_path: Path) -> None:
    script = """
    import percolate_rocks
    percolate_rocks.store_resource_with_trace("t", "r", b"x")
    """
    url = f"file://{tmp_path}/db"
    run(script, PERCOLATE_DATABASE=url)
    with Database(url, tenant="t", create_if_missing=False) as db:
        assert db.load_resource("r") == b"x"


def test_spans_have_the_engine_and_no_data_and_no_option(tmp_path: Path, percolate_spans: CapturedSpans) -> None:
    with Database(f"file://{tmp_path}/db", sync=True, object_store_options={}, server_address="omit") as db:
        db.register_schema("articles", {"key_field": "slug"})
        db.insert("articles", {"slug": CANARY, "body": CANARY})
        assert db.lookup("articles", CANARY) is not None
        assert db.query("SELECT * FROM articles WHERE slug = $1", [CANARY])
        assert db.query(f"SELECT * FROM articles WHERE slug = '{CANARY}'")
        with suppress(percolate_rocks.ExistsError):
            db.insert("articles", {"slug": CANARY})
    spans = percolate_spans.finished()
    assert {"insert articles", "lookup articles", "get entities"} <= {span.name for span in spans}
    assert {(span.attributes or {}).get("db.system.name", "slatedb") for span in spans} == {"slatedb"}
    assert CANARY not in "".join(span.to_json() for span in spans)


# ---- one writer ----

WRITER = """
import sys
import percolate_rocks

db = percolate_rocks.Database(sys.argv[1], sync=True)
print("open", flush=True)
for line in sys.stdin:
    try:
        db.upsert("numbers", {"n": int(line)})
        print("written", flush=True)
    except percolate_rocks.FencedError as error:
        print(type(error).__mro__[1].__name__, error.error_type, error.status_code, flush=True)
"""


def test_a_second_writer_in_another_process_fences_the_first_and_loses_nothing(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/db"
    filled(url).close()
    with process(WRITER, url) as first:
        assert [answer(first), answer(first, "2")] == ["open", "written"]
        with process(WRITER, url) as second:
            assert [answer(second), answer(second, "3")] == ["open", "written"]
            assert answer(first, "4") == "WriteError Fenced Fenced"
            assert answer(first, "5") == "WriteError Fenced Fenced"
            assert answer(second, "6") == "written"
    with Database(url, read_only=True) as reader:
        assert numbers(reader) == [1, 2, 3, 6]


def test_a_fenced_handle_is_closed_although_closing_raises(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/db"
    first = filled(url)
    with Database(url, sync=True) as second:
        second.upsert("numbers", {"n": 2})
        with pytest.raises(FencedError, match="make sure that only one writer is open"):
            first.upsert("numbers", {"n": 3})
        for call in (lambda: first.lookup("numbers", "1"), lambda: first.insert("numbers", {"n": 4}), first.flush):
            with pytest.raises(FencedError):
                call()
        with pytest.raises(FencedError):
            first.close()
        assert first.closed
        with pytest.raises(percolate_rocks.ClosedError):
            first.count("numbers")
        assert numbers(second) == [1, 2]


# ---- readers ----

READER = """
import sys
from percolate_rocks import Database

with Database(sys.argv[1], read_only=True, refresh_every=float(sys.argv[2])) as db:
    print("open", flush=True)
    for line in sys.stdin:
        print(db.query("SELECT count(*) AS n FROM numbers")[0]["n"], db.count("numbers"), flush=True)
"""


@pytest.mark.parametrize("engine", ["rocksdb", "slatedb"])
def test_a_reader_process_follows_the_writer(tmp_path: Path, engine: str) -> None:
    place = tmp_path / "db" if engine == "rocksdb" else f"file://{tmp_path}/db"
    with filled(place) as db, process(READER, place, 0) as eager, process(READER, place, 3600) as rare:
        assert [answer(eager), answer(rare)] == ["open", "open"]
        for n in range(2, 5):
            db.upsert("numbers", {"n": n})
            assert answer(eager, "count") == f"{n} {n}"
        assert answer(rare, "count") == "1 1"


@pytest.mark.parametrize("engine", ["rocksdb", "slatedb"])
def test_many_threads_of_a_reader_share_one_refresh(
    tmp_path: Path, engine: str, percolate_spans: CapturedSpans
) -> None:
    place = tmp_path / "db" if engine == "rocksdb" else f"file://{tmp_path}/db"
    with filled(place) as db, Database(place, read_only=True, refresh_every=2) as reader:
        db.upsert("numbers", {"n": 2})
        time.sleep(2)
        percolate_spans.clear()
        counts: list[int] = []
        barrier = threading.Barrier(8)

        def count() -> None:
            barrier.wait()
            counts.append(reader.count("numbers"))

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counts == [2] * 8
        # Opening reads the schemas once.
        assert len(percolate_spans.finished("scan schemas")) == 1


@pytest.mark.parametrize("engine", ["rocksdb", "slatedb"])
def test_every_call_of_a_reader_refreshes_and_other_tenants_too(tmp_path: Path, engine: str) -> None:
    place = tmp_path / "db" if engine == "rocksdb" else f"file://{tmp_path}/db"
    with filled(place) as db, Database(place, read_only=True, refresh_every=0) as reader:
        other = db.for_tenant("other")
        other.register_schema("numbers", SCHEMA)
        with reader.for_tenant("other") as theirs:
            other.upsert("numbers", {"n": 9})
            assert numbers(theirs) == [9]
            assert theirs.query("SELECT n FROM numbers") == [{"n": 9}]
        for n in range(2, 6):
            db.upsert("numbers", {"n": n})
            found = [
                reader.lookup("numbers", str(n)),
                reader.get("numbers", key=n),
                reader.get_many("numbers", keys=[n])[0],
                next((row for row in reader.query("SELECT * FROM numbers") if row["n"] == n), None),
            ]
            assert [row and row["n"] for row in found] == [n] * 4
        assert "refresh" not in reader.tables()
        db.register_schema("later", {})
        assert reader.tables() == ["later", "numbers"]


@pytest.mark.parametrize("engine", ["rocksdb", "slatedb"])
def test_a_refresh_that_fails_raises_on_that_call_and_the_next_one_tries_again(tmp_path: Path, engine: str) -> None:
    directory, away = tmp_path / "db", tmp_path / "away"
    place = directory if engine == "rocksdb" else f"file://{directory}"
    filled(place).close()
    with Database(place, read_only=True, refresh_every=0, namespace="library") as reader:
        assert numbers(reader) == [1]
        directory.rename(away)
        with pytest.raises(percolate_rocks.OpenError):
            reader.count("numbers")
        with pytest.raises(percolate_rocks.OpenError):
            reader.query("SELECT n FROM numbers")
        assert (reader.namespace, reader.closed) == ("library", False)
        away.rename(directory)
        assert numbers(reader) == [1]


def test_refresh_begins_a_new_interval(tmp_path: Path) -> None:
    place = tmp_path / "db"
    with filled(place) as db, Database(place, read_only=True, refresh_every=3600) as reader:
        db.upsert("numbers", {"n": 2})
        assert numbers(reader) == [1]
        reader.refresh()
        assert numbers(reader) == [1, 2]


# ---- forks ----


def test_a_forked_child_cannot_use_a_database_on_an_object_store(tmp_path: Path) -> None:
    script = """
    import os, sys
    from percolate_rocks import Database, ForkedError

    db = Database(sys.argv[1], sync=True)
    db.register_schema("numbers", {"key_field": "n"})
    child = os.fork()
    if child == 0:
        for use in (lambda: db.count("numbers"), lambda: Database(sys.argv[1]), lambda: Database(sys.argv[2])):
            try:
                use()
            except ForkedError as error:
                print("ForkedError", "canary" in str(error))
        db.close()
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    db.insert("numbers", {"n": "a"})
    print(db.count("numbers"))
    db.close()
    """
    printed = run(inspect.cleandoc(script), f"file://{tmp_path}/db", f"s3://user:{CANARY}@bucket/x")
    assert printed == "ForkedError False\n" * 3 + "1\n"


@pytest.mark.parametrize("end", ["db.close()", "pass", "sys.exit(3)", "raise ValueError"])
def test_what_was_written_before_the_end_of_a_program_is_there(tmp_path: Path, end: str) -> None:
    script = f"""
    import sys
    from percolate_rocks import Database

    db = Database(sys.argv[1], flush_interval=2)
    db.register_schema("numbers", {{"key_field": "n"}})
    db.insert("numbers", {{"n": "a"}})
    {end}
    """
    url = f"file://{tmp_path}/db"
    subprocess.run([sys.executable, "-c", inspect.cleandoc(script), url], timeout=60, capture_output=True)
    with Database(url) as db:
        assert db.count("numbers") == 1


def test_a_program_that_cannot_write_its_last_data_says_so_at_its_end(tmp_path: Path) -> None:
    script = """
    import sys
    from percolate_rocks import Database

    db = Database(sys.argv[1], flush_interval=2)
    db.register_schema("numbers", {"key_field": "n"})
    second = Database(sys.argv[1])
    second.close()
    """
    command = [sys.executable, "-c", inspect.cleandoc(script), f"file://{tmp_path}/db"]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0
    assert "db may be lost: cannot flush the log of the database: SlateDB failed" in done.stderr
