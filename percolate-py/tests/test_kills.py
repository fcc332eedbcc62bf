"""A writing process is killed at random moments: nothing that it acknowledged is lost.

`PERCOLATE_KILLS` sets how often. A new database is used after `KILLS_OF_A_DATABASE` kills, because each check takes
longer than the one before.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from percolate_rocks import Database

KILLS = int(os.environ.get("PERCOLATE_KILLS", "10"))
KILLS_OF_A_DATABASE = 10
BATCH = 7
SCHEMA = {"key_field": "slug", "indexed_fields": ["year"], "embedding_fields": ["body"]}


def article(slug: str, year: int) -> dict[str, object]:
    return {"slug": slug, "year": year, "body": f"the body of {slug}"}


def opened(path: Path) -> Database:
    db = Database(path, sync=True)
    db.register_schema("articles", SCHEMA)
    return db


def write(path: Path, first: int) -> None:
    """Write and acknowledge until the process is killed."""
    db = opened(path)

    def acknowledge(what: str, number: int) -> None:
        os.write(1, f"{what} {number}\n".encode())

    number = first
    while True:
        id = db.insert("articles", article(f"one-{number}", number))
        acknowledge("insert", number)
        if number % 3 == 0:
            db.insert_many("articles", [article(f"many-{number}-{n}", number) for n in range(BATCH)])
            acknowledge("batch", number)
        if number % 4 == 0:
            db.update("articles", id, {"year": number + 1_000_000})
            acknowledge("update", number)
        if number % 5 == 0:
            db.delete("articles", id)
            acknowledge("delete", number)
        match number % 7:
            case 1:
                db.rebuild_indexes()
            case 2:
                db.generate_embeddings("articles")
            case 3:
                db.submit("save_index", "articles").wait(10)
            case 4:
                db.flush()
            case 5:
                db.submit("compact", "entities")
            case 6:
                db.rebuild_vector_indexes()
        number += 1


class Acknowledged:
    """The numbers of the acknowledged writes of each kind."""

    def __init__(self) -> None:
        self.of: dict[str, set[int]] = {"insert": set(), "batch": set(), "update": set(), "delete": set()}

    def read(self, line: bytes) -> None:
        if line.endswith(b"\n"):
            what, number = line.decode().split()
            self.of[what].add(int(number))

    def last(self) -> int:
        return max(self.of["insert"], default=0)


def run_and_kill(path: Path, first: int, writes: int, acknowledged: Acknowledged) -> None:
    command = [sys.executable, __file__, str(path), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(writes):
            line = process.stdout.readline()
            assert line, "the process should live until it is killed"
            acknowledged.read(line)
        time.sleep(writes * 977 % 7_000 / 1_000_000)
        process.kill()
        for line in process.stdout:
            acknowledged.read(line)


def check(db: Database, acknowledged: Acknowledged, tried: int) -> None:
    for number in acknowledged.of["insert"]:
        entity = db.lookup("articles", f"one-{number}")
        if number in acknowledged.of["delete"]:
            assert entity is None, f"article {number} was deleted"
        elif number % 5 != 0:
            assert entity is not None, f"article {number} was acknowledged"
            assert number not in acknowledged.of["update"] or entity["year"] == number + 1_000_000
    for number in range(0, tried + 1, 3):
        found = sum(db.lookup("articles", f"many-{number}-{n}") is not None for n in range(BATCH))
        assert found == BATCH or (found == 0 and number not in acknowledged.of["batch"]), f"{found} of batch {number}"
    report = db.verify_indexes()
    assert (report["missing"], report["stale"], report["failed"], report["unreadable"]) == (0, 0, 0, []), report
    assert db.load_index("articles") == db.rebuild_vector_indexes()["entities"]


@pytest.mark.timeout(60 + 10 * KILLS)
def test_acknowledged_writes_survive_every_kill(tmp_path: Path) -> None:
    moments = random.Random(19)
    for begun in range(0, KILLS, KILLS_OF_A_DATABASE):
        path = tmp_path / f"db-{begun}"
        acknowledged = Acknowledged()
        first = 1
        for _ in range(min(KILLS_OF_A_DATABASE, KILLS - begun)):
            run_and_kill(path, first, moments.randrange(40), acknowledged)
            # A write that was not acknowledged may be in the database, so the next process uses other numbers.
            tried = max(first, acknowledged.last() + 1)
            first = tried + 1
            with opened(path) as db:
                check(db, acknowledged, tried)
        assert len(acknowledged.of["insert"]) > 5


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
