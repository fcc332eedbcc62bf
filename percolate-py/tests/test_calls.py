"""Calls as such: calls inside calls, timeouts, cancelled tasks, closing, and panics."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local_http import LocalServer
from test_telemetry import INTERRUPTED, run
from place import place

import percolate_rocks
from percolate_rocks import (
    AsyncDatabase,
    ClosedError,
    Database,
    HttpEmbeddings,
    LockedError,
    OperationTimeoutError,
)
from percolate_rocks._pytest_plugin import CapturedSpans

SCHEMA = {"key_field": "slug", "embedding_fields": ["body"]}
#: An ended query stops at its next pause, which takes some seconds without optimisation.
SOON = 30
#: Takes minutes.
SLOW = "SELECT sum(a.n * b.n % 7 + c.n) AS s FROM t a, t b, t c WHERE a.n + b.n + c.n < 4000"


@pytest.fixture
def server() -> Iterator[LocalServer]:
    def vectors(_: str, request: bytes) -> tuple[int, bytes]:
        texts = json.loads(request)["input"]
        data = [{"index": n, "embedding": [1.0, float(len(text))]} for n, text in enumerate(texts)]
        return 200, json.dumps({"data": data}).encode()

    server = LocalServer(vectors)
    yield server
    server.close()


class ThroughHttp:
    """An embedder in Python that uses `HttpEmbeddings`."""

    name, dimensions = "through-http", 2

    def __init__(self, http: HttpEmbeddings) -> None:
        self.http = http

    def embed(self, texts: list[str]) -> list[list[float]]:
        return self.http.embed(texts)


def articles(path: Path, embedder: object = None, count: int = 2) -> Database:
    db = Database(place(path), embedder=embedder)  # type: ignore[arg-type]
    db.register_schema("articles", SCHEMA)
    db.insert_many("articles", [{"slug": f"a{n}", "body": f"text number {n}"} for n in range(count)])
    return db


@pytest.fixture
def numbers(tmp_path: Path) -> Iterator[Database]:
    with Database(place(tmp_path / "numbers")) as db:
        db.register_schema("t", {"properties": {"n": {"type": "integer"}}})
        db.insert_many("t", [{"n": n} for n in range(1500)])
        yield db


# ---- calls inside calls ----


def test_an_embedder_in_python_may_use_http_embeddings(tmp_path: Path, server: LocalServer) -> None:
    http = HttpEmbeddings(server.url, "model", 2, attempts=1, timeout=5)
    with articles(tmp_path / "db", ThroughHttp(http)) as db:
        assert db.generate_embeddings("articles")["embedded"] == 2
        assert len(db.search("articles", "text")) == 2
        assert db.mark_for_embedding("articles") == 2
        assert db.submit("generate_embeddings", "articles").wait(30)

        async def asynchronous() -> int:
            return len(await AsyncDatabase(db).search("articles", "text"))

        assert asyncio.run(asynchronous()) == 2


@pytest.mark.parametrize("embedder", ["offline", "http", "through-http"])
def test_every_call_works_inside_where(tmp_path: Path, server: LocalServer, embedder: str) -> None:
    http = HttpEmbeddings(server.url, "model", 2, attempts=1, timeout=5)
    embedders = {"offline": None, "http": http, "through-http": ThroughHttp(http)}
    with articles(tmp_path / "db", embedders[embedder]) as db:
        db.generate_embeddings("articles")
        inside: list[Callable[[], object]] = [
            lambda: http.embed(["text"]),
            lambda: db.search("articles", "text", where=lambda entity: bool(db.search("articles", "text"))),
            lambda: db.search_vector("articles", [1.0] * 2) if embedder != "offline" else None,
            lambda: db.query("SELECT count(*) FROM articles"),
            lambda: db.generate_embeddings("articles"),
            lambda: db.rebuild_indexes(on_progress=lambda done: db.search("articles", "text")),
            lambda: db.submit("flush_wal").wait(30),
            lambda: db.load_index("articles"),
        ]

        def where(entity: dict[str, object]) -> bool:
            for call in inside:
                call()
            return True

        assert len(db.search("articles", "text", where=where)) == 2


def test_an_exception_inside_an_inner_call_is_raised_with_its_type(tmp_path: Path) -> None:
    with articles(tmp_path / "db") as db:
        db.generate_embeddings("articles")
        with pytest.raises(percolate_rocks.UnknownTableError):
            db.search("articles", "text", where=lambda entity: db.search("nothing", "text"))


def test_http_embeddings_inside_an_outer_call_reach_no_connection_of_it(tmp_path: Path, server: LocalServer) -> None:
    """The outer runtime is blocked, so an idle connection of it would never answer."""
    http = HttpEmbeddings(server.url, "model", 2, attempts=1, timeout=3)
    with articles(tmp_path / "db", http) as db:
        db.generate_embeddings("articles")
        started = time.monotonic()
        assert len(db.search("articles", "text", where=lambda entity: bool(http.embed(["inner"])))) == 2
        assert time.monotonic() - started < 2.5


# ---- timeouts and cancelled tasks ----


def error_types(spans: CapturedSpans) -> list[object]:
    queries = [span.attributes for span in spans.finished() if span.name.startswith("SELECT")]
    return [attributes["error.type"] for attributes in queries if attributes and "error.type" in attributes]


def test_a_query_ends_at_its_timeout(numbers: Database, percolate_spans: CapturedSpans) -> None:
    for call in (numbers.query, numbers.query_arrow):
        started = time.monotonic()
        with percolate_spans.tracer().start_as_current_span("request"):
            with pytest.raises(OperationTimeoutError, match="within its timeout of 0.2 s") as caught:
                call(SLOW, timeout=0.2)
        assert 0.2 <= time.monotonic() - started < 5
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, percolate_rocks.PercolateError)
        assert caught.value.error_type == "OperationTimeout"
    assert numbers.query("SELECT count(*) AS n FROM t", timeout=60) == [{"n": 1500}]
    numbers.close()
    assert error_types(percolate_spans) == ["cancelled", "cancelled"]


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_a_timeout_is_a_number_of_seconds(numbers: Database, wrong: float) -> None:
    with pytest.raises(ValueError, match="timeout must be a number of seconds, 0 or more"):
        numbers.query("SELECT 1", timeout=wrong)


def test_searches_and_rebuilds_end_at_their_timeout(tmp_path: Path) -> None:
    class Slow:
        name, dimensions = "slow", 2

        def embed(self, texts: list[str]) -> list[list[float]]:
            if texts == ["slow"]:
                time.sleep(0.3)
            return [[1.0, float(len(text))] for text in texts]

    def slowly(_: object) -> bool:
        time.sleep(0.1)
        return False

    with articles(tmp_path / "db", Slow(), 2000) as db:
        db.generate_embeddings("articles")
        calls: dict[str, Callable[[], object]] = {
            "embedder": lambda: db.search("articles", "slow", timeout=0.2),
            "where": lambda: db.search("articles", "text", where=slowly, timeout=0.2),
            "search_vector": lambda: db.search_vector("articles", [1.0, 1.0], where=slowly, timeout=0.2),
            "rebuild": lambda: db.rebuild_indexes(on_progress=slowly, timeout=0.2),
            "vectors": lambda: db.rebuild_vector_indexes(on_progress=slowly, timeout=0.2),
            "verify": lambda: db.verify_indexes(timeout=0),
            "generate": lambda: db.mark_for_embedding("articles") and db.generate_embeddings("articles", timeout=0),
        }
        for name, call in calls.items():
            started = time.monotonic()
            with pytest.raises(OperationTimeoutError):
                call()
            assert time.monotonic() - started < 10, name
        assert db.verify_indexes()["failed"] == 0


async def test_cancelled_queries_end_and_delay_no_other_call(numbers: Database, percolate_spans: CapturedSpans) -> None:
    db = AsyncDatabase(numbers, threads=2)
    with percolate_spans.tracer().start_as_current_span("request"):
        for _ in range(8):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(db.query(SLOW), 0.1)
    started = time.monotonic()
    assert await db.count("t") == 1500
    assert await db.query("SELECT count(*) AS n FROM t") == [{"n": 1500}]
    assert time.monotonic() - started < SOON
    await db.close()
    assert set(error_types(percolate_spans)) == {"cancelled"}


async def test_slow_queries_delay_no_point_lookup(numbers: Database) -> None:
    db = AsyncDatabase(numbers, threads=2)
    slow = [asyncio.create_task(db.query(SLOW)) for _ in range(8)]
    await asyncio.sleep(0.2)
    started = time.monotonic()
    assert await db.load_resource("r") is None
    assert time.monotonic() - started < 5
    # The time in the queue counts.
    started = time.monotonic()
    with pytest.raises(OperationTimeoutError, match="within its timeout of 0.2 s"):
        await db.query("SELECT 1", timeout=0.2)
    assert time.monotonic() - started < 5
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert await db.query("SELECT 1 AS n", timeout=5) == [{"n": 1}]
    await db.close()


async def test_a_cancelled_rebuild_stops(tmp_path: Path) -> None:
    db = AsyncDatabase(articles(tmp_path / "db", count=2000))
    progress: list[int] = []

    def slowly(done: int) -> None:
        progress.append(done)
        time.sleep(0.2)

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(db.rebuild_indexes(on_progress=slowly), 0.1)
    await asyncio.sleep(0.5)
    assert len(progress) == 1
    await db.close()


# ---- building an index ----


def test_ctrl_c_and_a_timeout_end_the_first_search_while_it_builds_the_index(tmp_path: Path) -> None:
    script = INTERRUPTED + """
    import random
    from percolate_rocks import OperationTimeoutError
    class Random:
        name, dimensions = "random", 64
        def embed(self, texts):
            return [[random.random() for _ in range(64)] for _ in texts]
    def opened():
        return Database(sys.argv[1], embedder=Random())
    with opened() as db:
        db.register_schema("t", {"embedding_fields": ["body"]})
        db.insert_many("t", [{"body": str(n)} for n in range(12000)])
        db.generate_embeddings("t")
    vector = [1.0] * 64
    for search in (lambda db, **limits: db.search("t", "x", 3, **limits),
                   lambda db, **limits: db.search_vector("t", vector, 3, **limits)):
        with opened() as db:
            started = after(0.2)
            try:
                search(db)
                print("not interrupted", time.monotonic() - started)
            except KeyboardInterrupt:
                print("interrupted", time.monotonic() - started < 2)
            try:
                search(db, timeout=0.2)
            except OperationTimeoutError:
                print("timeout")
            print(len(search(db)), db.verify_indexes()["missing"])
    with opened() as db:
        progress = []
        def note(done):
            progress.append(done)
            if done > 2000:
                raise KeyError("enough")
        try:
            db.load_index("t", on_progress=note)
        except KeyError:
            print("raised", progress[0], progress == sorted(progress), progress[-1] < 2100)
        try:
            db.load_index("t", timeout=0.1)
        except OperationTimeoutError:
            print("timeout")
        print(db.load_index("t"), db.load_index("t", on_progress=note), len(db.search("t", "x", 3)))
    """
    printed = run(script, place(tmp_path / "db")).splitlines()
    assert printed == ["interrupted True", "timeout", "3 0"] * 2 + ["raised 32 True True", "timeout", "12000 12000 3"]


# ---- closing ----


class Blocking:
    """An embedder that blocks until it is released."""

    name, dimensions = "blocking", 2

    def __init__(self) -> None:
        self.entered, self.release = threading.Event(), threading.Event()

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.entered.set()
        assert self.release.wait(30)
        return [[1.0, 2.0] for _ in texts]


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []

    def work() -> None:
        try:
            results.append(call())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, results


def test_close_waits_for_running_calls_refuses_new_ones_and_releases_the_directory(tmp_path: Path) -> None:
    embedder = Blocking()
    db = articles(tmp_path / "db", embedder)
    searching, found = in_thread(lambda: db.search("articles", "text"))
    assert embedder.entered.wait(30)
    closing, closed = in_thread(db.close)
    while not db.closed:
        time.sleep(0.01)
    with pytest.raises(ClosedError):
        db.count("articles")
    db.close()
    closing.join(0.3)
    assert closing.is_alive()
    embedder.release.set()
    closing.join(30)
    searching.join(30)
    assert closed == [None]
    assert [type(each) for each in found] == [ClosedError]
    Database(place(tmp_path / "db")).close()


def reopened(path: Path) -> Database:
    """Open the database once closing, which continues after a timeout, has released the directory."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return Database(place(path))
        except LockedError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.rocksdb("SlateDB does not lock the directory: a second writer fences the first")
def test_close_waits_for_a_call_until_its_timeout(tmp_path: Path) -> None:
    embedder = Blocking()
    db = articles(tmp_path / "db", embedder)
    searching, found = in_thread(lambda: db.search("articles", "text"))
    assert embedder.entered.wait(30)
    with pytest.raises(OperationTimeoutError, match=r"timeout of 0\.2 s") as raised:
        db.close(timeout=0.2)
    assert isinstance(raised.value, TimeoutError)
    assert raised.value.error_type == "OperationTimeout"
    assert db.closed and searching.is_alive()
    with pytest.raises(LockedError):
        Database(place(tmp_path / "db"))
    db.close(timeout=0)
    embedder.release.set()
    searching.join(30)
    assert [type(each) for each in found] == [ClosedError]
    with reopened(tmp_path / "db") as again:
        assert again.count("articles") == 2


@pytest.mark.parametrize("timeout", [-1.0, float("nan"), float("inf")])
def test_close_refuses_a_timeout_that_is_not_a_time(tmp_path: Path, timeout: float) -> None:
    db = articles(tmp_path / "db")
    with pytest.raises(ValueError, match="timeout must be a number of seconds"):
        db.close(timeout=timeout)
    assert not db.closed
    db.close(timeout=60)


async def test_closing_the_files_has_a_timeout(tmp_path: Path) -> None:
    db = articles(tmp_path / "db")
    with pytest.raises(OperationTimeoutError, match="locked") as raised:
        db.close(timeout=0)
    assert raised.value.error_type == "CloseTimeout"
    assert db.closed
    asynchronous = AsyncDatabase(reopened(tmp_path / "db"))
    with pytest.raises(OperationTimeoutError) as raised:
        await asynchronous.close(timeout=0)
    assert raised.value.error_type == "CloseTimeout"
    with reopened(tmp_path / "db") as again:
        assert again.count("articles") == 2


def test_close_waits_for_calls_that_cannot_be_ended(tmp_path: Path) -> None:
    db = articles(tmp_path / "db")
    data = [{"slug": str(n), "body": "x" * 50} for n in range(20000)]
    writing, ids = in_thread(lambda: db.insert_many("articles", data))
    while db.count("articles") == 2 and writing.is_alive():
        time.sleep(0.001)
        if not ids and db.column_families():
            break
    time.sleep(0.2)
    db.close()
    writing.join(30)
    with Database(place(tmp_path / "db")) as again:
        assert again.count("articles") == (20002 if isinstance(ids[0], list) else 2)


def test_close_ends_a_running_query_and_releases_the_directory(numbers: Database) -> None:
    running, results = in_thread(lambda: numbers.query(SLOW))
    time.sleep(0.3)
    started = time.monotonic()
    numbers.close()
    assert time.monotonic() - started < SOON
    Database(numbers.path).close()
    running.join(30)
    (error,) = results
    assert isinstance(error, ClosedError)
    assert "is being closed" in str(error)


@pytest.mark.parametrize("way", ["where", "on_progress", "embedder", "job", "two"])
def test_a_function_may_close_the_database_of_its_call(tmp_path: Path, way: str) -> None:
    class Closing:
        name, dimensions, db = "closing", 2, None

        def embed(self, texts: list[str]) -> list[list[float]]:
            if self.db is not None:
                self.db.close()
            return [[1.0, 2.0] for _ in texts]

    embedder = Closing()
    db = articles(tmp_path / "db", embedder, 600)
    db.generate_embeddings("articles")
    started = time.monotonic()
    if way == "where":
        with pytest.raises(ClosedError):
            db.search("articles", "text", where=lambda entity: db.close())
    elif way == "on_progress":
        with pytest.raises(ClosedError):
            db.rebuild_indexes(on_progress=lambda done: db.close())
    elif way == "two":
        both = threading.Barrier(2)

        def close(_: object) -> None:
            if not db.closed:
                both.wait(10)
            db.close()

        calls = [in_thread(lambda: db.search("articles", "text", where=close)) for _ in range(2)]
        for thread, results in calls:
            thread.join(10)
            assert [type(each) for each in results] == [ClosedError]
    else:
        db.mark_for_embedding("articles")
        embedder.db = db  # type: ignore[assignment]
        if way == "job":
            with pytest.raises(percolate_rocks.JobError):
                db.submit("generate_embeddings", "articles").wait(30)
        else:
            with pytest.raises(ClosedError):
                db.generate_embeddings("articles")
    assert db.closed
    assert time.monotonic() - started < 5
    deadline = time.monotonic() + 10
    while True:
        try:
            Database(place(tmp_path / "db")).close()
            break
        except percolate_rocks.LockedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


async def test_an_asynchronous_database_closes_like_a_database(tmp_path: Path) -> None:
    db = await AsyncDatabase.open(place(tmp_path / "db"), threads=1)
    await db.register_schema("t", {"properties": {"n": {"type": "integer"}}})
    await db.insert_many("t", [{"n": n} for n in range(1500)])
    slow = asyncio.create_task(db.query(SLOW))
    writes = [asyncio.create_task(db.insert("t", {"n": n})) for n in range(50)]
    await asyncio.sleep(0.3)
    started = time.monotonic()
    await db.close()
    assert time.monotonic() - started < SOON
    with pytest.raises(ClosedError):
        await slow
    assert len(await asyncio.gather(*writes)) == 50
    await db.close()
    with pytest.raises(ClosedError):
        await db.count("t")
    with pytest.raises(ClosedError):
        await db.query("SELECT 1")
    with pytest.raises(ClosedError):
        async with db:
            pass
    with pytest.raises(ClosedError):
        async for _ in db.scan("t"):
            pass
    async with await AsyncDatabase.open(place(tmp_path / "db")) as again:
        assert await again.count("t") == 1550


# ---- sharing and errors ----


def test_threads_that_share_a_scan_get_each_entity_once(tmp_path: Path) -> None:
    with articles(tmp_path / "db", count=2000) as db:
        for _ in range(5):
            scan = db.scan("articles", page_size=16)
            threads = [in_thread(lambda: [entity["slug"] for entity in scan]) for _ in range(4)]
            found: list[object] = []
            for thread, results in threads:
                thread.join(60)
                (slugs,) = results
                assert isinstance(slugs, list)
                found += slugs
            assert len(found) == len(set(found)) == 2000
            assert list(scan) == []


def test_exceptions_have_the_documented_types(tmp_path: Path) -> None:
    for path, reason in [("a\0b", "nul"), ("a" * 5000, "too long")]:
        with pytest.raises(percolate_rocks.OpenError) as caught:
            Database(tmp_path / path)
        assert reason in str(caught.value).lower()
        assert "permission" not in str(caught.value)
    with articles(tmp_path / "db") as db:
        db.generate_embeddings("articles")
        with pytest.raises(percolate_rocks.EmbeddingError, match="dimensions"):
            db.search_vector("articles", [1.0])
    db.close()
    with pytest.raises(ClosedError):
        db.count("articles")
