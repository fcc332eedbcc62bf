"""A database in a bucket: the protocol of S3, with `moto_server` as the server. Without it, the tests are skipped."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_object_store import CANARY, SCHEMA, numbers
from test_telemetry import run

import percolate_rocks
from percolate_rocks import AsyncDatabase, Database
from percolate_rocks._pytest_plugin import CapturedSpans

MOTO = shutil.which("moto_server", path=str(Path(sys.executable).parent)) or shutil.which("moto_server")

pytestmark = pytest.mark.skipif(MOTO is None, reason="needs moto_server: scripts/setup.sh tools")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of a server with the bucket `shelf`."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [str(MOTO), "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(urllib.request.Request(f"{address}/shelf", method="PUT"), timeout=60).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the server does not start"
                time.sleep(0.02)
        yield address
        server.kill()


@pytest.fixture
def options(endpoint: str) -> dict[str, str]:
    return {
        "aws_endpoint": endpoint,
        "aws_allow_http": "true",
        "aws_region": "us-east-1",
        "aws_access_key_id": f"AKIA{CANARY}",
        "aws_secret_access_key": CANARY,
        "aws_session_token": CANARY,
    }


def test_a_bucket_has_a_writer_and_a_reader_that_follows(
    options: dict[str, str],
    percolate_spans: CapturedSpans,
    capfd: pytest.CaptureFixture[str],
) -> None:
    url = "s3://shelf/books"
    with Database(url, object_store_options=options, sync=True, flush_interval=0.001) as db:
        assert (db.path, db.system, db.namespace) == (url, "slatedb", "books")
        db.register_schema("numbers", SCHEMA)
        with Database(url, object_store_options=options, read_only=True, refresh_every=0) as reader:
            for n in range(3):
                db.insert("numbers", {"n": n})
                assert reader.lookup("numbers", str(n)) is not None
            assert numbers(reader) == [0, 1, 2]
            assert reader.query("SELECT sum(n) AS s FROM numbers") == [{"s": 3}]
        with Database(url, object_store_options=options) as second:
            with pytest.raises(percolate_rocks.FencedError) as fenced:
                db.insert("numbers", {"n": 4})
            assert numbers(second) == [0, 1, 2]
        with pytest.raises(percolate_rocks.FencedError):
            db.close()
        shown = [repr(db), repr(fenced.value), repr(fenced.value.__cause__)]
    spans = percolate_spans.finished()
    assert {(span.attributes or {}).get("server.address", "127.0.0.1") for span in spans} == {"127.0.0.1"}
    assert spans and CANARY not in "".join([*shown, *capfd.readouterr(), *(span.to_json() for span in spans)])


async def test_an_async_database_and_a_copy_are_in_a_bucket(options: dict[str, str], tmp_path: Path) -> None:
    with Database(tmp_path / "db") as here:
        here.register_schema("numbers", SCHEMA)
        here.insert("numbers", {"n": 1})
        report = here.copy_to("s3://shelf/copy", object_store_options=options)
    async with await AsyncDatabase.open("s3://shelf/copy", object_store_options=options, create_if_missing=False) as db:
        assert await db.count("numbers") == 1
        assert await db.copy_to(tmp_path / "back") == report
    with Database(tmp_path / "back") as back:
        assert numbers(back) == [1]


def test_options_come_from_the_environment_in_a_shell_too(options: dict[str, str]) -> None:
    environment = {name.upper(): value for name, value in options.items()}
    environment["PERCOLATE_DATABASE"] = "s3://shelf/shell"
    command = "import sys; from percolate_rocks._cli import main; sys.argv[0] = 'percolate'; sys.exit(main())"
    with Database("s3://shelf/shell", object_store_options=options, sync=True) as db:
        db.register_schema("numbers", SCHEMA)
        db.insert("numbers", {"n": 7})
        found = run(command, "query", "SELECT n FROM numbers", "--format", "jsonl", **environment)
        assert [json.loads(line) for line in found.splitlines()] == [{"n": 7}]


def test_a_bucket_that_does_not_exist_is_an_error_at_once_without_credentials(options: dict[str, str]) -> None:
    with pytest.raises(percolate_rocks.OpenError, match="there is no bucket `missing`; create it") as raised:
        Database("s3://missing/x", object_store_options=options, object_store_retries=1_000_000)
    assert (raised.value.error_type, raised.value.status_code) == ("NoBucket", "Refused")
    assert "NoSuchBucket" in str(raised.value.__cause__)
    assert CANARY not in repr(raised.value) + repr(raised.value.__cause__)
