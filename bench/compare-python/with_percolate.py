"""The task with percolate."""

from pathlib import Path

from documents import DIMENSIONS, embed

from percolate_rocks import Database


class Words:
    name, dimensions = "words", DIMENSIONS

    def embed(self, texts):
        return embed(texts)


SCHEMA = {
    "properties": {"slug": {"type": "string"}, "year": {"type": "integer"}, "body": {"type": "string"}},
    "key_field": "slug",
    "indexed_fields": ["year"],
    "embedding_fields": ["body"],
}


def task(directory: Path, documents, question, progress):
    with Database(directory / "db", embedder=Words()) as db:
        db.register_schema("articles", SCHEMA)
        db.insert_many("articles", documents)
        db.generate_embeddings("articles")
        progress("store")
        filtered = db.query("SELECT slug FROM articles WHERE year BETWEEN $1 AND $2 ORDER BY slug", [1980, 1985])
        progress("filter")
        found = db.search("articles", question, limit=5, where="year >= 2000")
        progress("search")
        db.update("articles", key="article-7", changes={"year": 2030})
        progress("update")
        db.delete_where("articles", "year < $1", [1960])
        progress("delete")
        counts = db.query("SELECT year / 10 * 10 AS decade, count(*) AS articles FROM articles GROUP BY 1 ORDER BY 1")
        progress("aggregate")
        db.export_jsonl("articles", directory / "articles.jsonl")
        progress("export")
        return {
            "filtered": [row["slug"] for row in filtered],
            "found": [article["slug"] for article, _ in found],
            "counts": [(row["decade"], row["articles"]) for row in counts],
        }
