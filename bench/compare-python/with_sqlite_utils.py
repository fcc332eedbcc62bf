"""The task with sqlite-utils, and numpy for vectors: many builds of Python load no extensions of SQLite."""

import json
from pathlib import Path

import numpy
import sqlite_utils
from documents import embed


def task(directory: Path, documents, question, progress):
    db = sqlite_utils.Database(directory / "articles.db")
    articles = db["articles"]
    vectors = numpy.array(embed([document["body"] for document in documents]), dtype=numpy.float32)
    rows = [document | {"vector": vector.tobytes()} for document, vector in zip(documents, vectors)]
    articles.insert_all(rows, pk="slug")
    articles.create_index(["year"])
    progress("store")
    filtered = list(db.query("SELECT slug FROM articles WHERE year BETWEEN ? AND ? ORDER BY slug", [1980, 1985]))
    progress("filter")
    rows = list(db.query("SELECT slug, vector FROM articles WHERE year >= 2000"))
    stored = numpy.frombuffer(b"".join(row["vector"] for row in rows), dtype=numpy.float32).reshape(len(rows), -1)
    nearest = numpy.argsort(-(stored @ numpy.array(embed([question])[0], dtype=numpy.float32)), kind="stable")
    found = [rows[index] for index in nearest[:5]]
    progress("search")
    articles.update("article-7", {"year": 2030})
    progress("update")
    articles.delete_where("year < ?", [1960])
    progress("delete")
    counts = list(db.query("SELECT year / 10 * 10 AS decade, count(*) AS articles FROM articles GROUP BY 1 ORDER BY 1"))
    progress("aggregate")
    with open(directory / "articles.jsonl", "w") as file:
        for row in db.query("SELECT slug, year, body FROM articles"):
            file.write(json.dumps(row) + "\n")
    progress("export")
    return {
        "filtered": [row["slug"] for row in filtered],
        "found": [row["slug"] for row in found],
        "counts": [(row["decade"], row["articles"]) for row in counts],
    }
