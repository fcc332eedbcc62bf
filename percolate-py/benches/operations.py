"""Microseconds of the database's calls, compared with rocksdict and sqlite3.

    scripts/bench-wheel.sh operations

Every contestant stores the same 10,000 JSON objects and returns dicts. The rounds of all of them
alternate, and each number is the median of the rounds. `--rounds` and `--calls` shorten the run.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

import percolate_rocks
from percolate_rocks import Database

try:
    import rocksdict
except ImportError:
    rocksdict = None

ENTITIES = 10_000
DIMENSIONS = 384
Work = Callable[[int], object]


class Drop(SpanExporter):
    """Drops the spans it receives."""

    def export(self, spans: object) -> SpanExportResult:
        """Accept and drop."""
        return SpanExportResult.SUCCESS


class Vectors:
    """An embedder that computes nothing: each text is a number."""

    name, dimensions = "numbers", DIMENSIONS

    def embed(self, texts: list[str]) -> list[list[float]]:
        """Return one vector for each text."""
        return [vector(int(text)) for text in texts]


def vector(seed: int) -> list[float]:
    """Return a vector that depends on the number alone."""
    return [((seed * 2654435761 + at * 40503) % 1000) / 500 - 1 for at in range(DIMENSIONS)]


def article(n: int) -> dict[str, Any]:
    """Return one of the objects."""
    return {
        "slug": f"article-{n}",
        "year": 1900 + n % 125,
        "title": f"The article with the number {n}",
        "tags": ["storage", "percolation", f"t{n % 7}"],
        "body": str(n),
        "text": "The threshold of a lattice is where a path first crosses it. " * 4,
    }


def percolate(path: Path) -> dict[str, Work]:
    """Open a database with the objects, and return the calls."""
    db = Database(path / "percolate", embedder=Vectors())
    fields = {
        "slug": {"type": "string"},
        "year": {"type": "integer"},
        "title": {"type": "string"},
        "body": {"type": "string"},
    }
    for table, embedded in [("articles", []), ("embedded", ["body"])]:
        schema = {"properties": fields, "key_field": "slug", "indexed_fields": ["year"], "embedding_fields": embedded}
        db.register_schema(table, schema)
    db.insert_many("articles", [article(n) for n in range(ENTITIES)])
    db.insert_many("embedded", [article(n) for n in range(2000)])
    db.generate_embeddings("embedded")
    db.flush()
    new = iter(range(ENTITIES, 10**9))
    return {
        "get": lambda n: db.get("articles", key=f"article-{n}"),
        "insert": lambda n: db.insert("articles", article(next(new))),
        "query": lambda n: db.query("SELECT slug, title FROM articles WHERE slug = $1", [f"article-{n}"]),
        "search": lambda n: db.search_vector("embedded", vector(n), 10),
    }


def of_rocksdict(path: Path) -> dict[str, Work]:
    """Return the calls of rocksdict with JSON in its values."""
    db = rocksdict.Rdict(str(path / "rocksdict"), rocksdict.Options(raw_mode=True))
    for n in range(ENTITIES):
        db[f"article-{n}".encode()] = json.dumps(article(n)).encode()
    db.flush()

    def insert(n: int) -> None:
        new = article(n + ENTITIES)
        db[new["slug"].encode()] = json.dumps(new).encode()

    return {"get": lambda n: json.loads(db[f"article-{n}".encode()]), "insert": insert}


def of_sqlite(path: Path) -> dict[str, Work]:
    """Return the calls of sqlite3 with JSON in a column and an index, one transaction a write."""
    db = sqlite3.connect(path / "sqlite.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE articles (slug TEXT PRIMARY KEY, year INTEGER, title TEXT, data TEXT)")
    db.execute("CREATE INDEX years ON articles (year)")
    insert = "INSERT INTO articles VALUES (?, ?, ?, ?)"
    row = lambda n: (article(n)["slug"], article(n)["year"], article(n)["title"], json.dumps(article(n)))  # noqa: E731
    db.execute("BEGIN")
    db.executemany(insert, (row(n) for n in range(ENTITIES)))
    db.execute("COMMIT")
    new = iter(range(ENTITIES, 10**9))

    def get(n: int) -> object:
        (data,) = db.execute("SELECT data FROM articles WHERE slug = ?", (f"article-{n}",)).fetchone()
        return json.loads(data)

    def query(n: int) -> object:
        cursor = db.execute("SELECT slug, title FROM articles WHERE slug = ?", (f"article-{n}",))
        return [dict(zip(("slug", "title"), found, strict=True)) for found in cursor]

    return {"get": get, "insert": lambda n: db.execute(insert, row(next(new))), "query": query}


def rounds_of(calls: int) -> Iterator[int]:
    """Yield the numbers of objects in an order that is not that of the keys."""
    for call in range(calls):
        yield call * 7919 % ENTITIES


def microseconds(work: Work, calls: int) -> float:
    """Return the time of one call in one round."""
    started = time.perf_counter_ns()
    for n in rounds_of(calls):
        work(n)
    return (time.perf_counter_ns() - started) / calls / 1000


def main() -> None:
    """Print the medians as a table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--calls", type=int, default=400)
    options = arguments.parse_args()
    providers = {
        "unsampled": TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False),
        "sampled": TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False),
    }
    providers["sampled"].add_span_processor(BatchSpanProcessor(Drop(), max_queue_size=100_000))
    times: dict[tuple[str, str], list[float]] = {}

    def measure(contestant: str, works: dict[str, Work]) -> None:
        for name, work in works.items():
            calls = options.calls // (8 if name == "search" else 1)
            times.setdefault((name, contestant), []).append(microseconds(work, max(calls, 1)))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        ours = percolate(path)
        others = {"sqlite3": of_sqlite(path)}
        if rocksdict is None:
            print("rocksdict is not installed: pip install rocksdict")
        else:
            others["rocksdict"] = of_rocksdict(path)
        # The first search loads the index.
        ours["search"](0)
        for _ in range(options.rounds):
            percolate_rocks.configure("off")
            measure("no telemetry", ours)
            for name, provider in providers.items():
                percolate_rocks.configure(tracer_provider=provider, meter_provider=False)
                with provider.get_tracer("bench").start_as_current_span("request"):
                    measure(name, ours)
                percolate_rocks.shutdown()
            for name, works in others.items():
                measure(name, works)
    columns = ["no telemetry", *providers, *others]
    print(f"{'µs a call':10}" + "".join(f"{column:>14}" for column in columns))
    for name in ours:
        cells = [times.get((name, column)) for column in columns]
        print(f"{name:10}" + "".join(f"{statistics.median(cell):>14.1f}" if cell else f"{'':>14}" for cell in cells))


if __name__ == "__main__":
    main()
