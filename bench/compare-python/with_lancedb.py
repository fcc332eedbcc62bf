"""The task with LanceDB."""

import json
from pathlib import Path

import lancedb
import pyarrow
import pyarrow.compute as compute
from documents import DIMENSIONS, embed


SCHEMA = pyarrow.schema(
    [
        pyarrow.field("slug", pyarrow.string()),
        pyarrow.field("year", pyarrow.int64()),
        pyarrow.field("body", pyarrow.string()),
        pyarrow.field("vector", pyarrow.list_(pyarrow.float32(), DIMENSIONS)),
    ]
)


def task(directory: Path, documents, question, progress):
    db = lancedb.connect(directory / "db")
    table = db.create_table("articles", schema=SCHEMA)
    vectors = embed([document["body"] for document in documents])
    table.add([document | {"vector": vector} for document, vector in zip(documents, vectors)])
    table.create_scalar_index("year")
    progress("store")
    filtered = table.search().where("year BETWEEN 1980 AND 1985").select(["slug"]).limit(len(documents)).to_list()
    progress("filter")
    query = table.search(embed([question])[0]).distance_type("cosine").where("year >= 2000", prefilter=True)
    found = query.limit(5).to_list()
    progress("search")
    table.update(where="slug = 'article-7'", values={"year": 2030})
    progress("update")
    table.delete("year < 1960")
    progress("delete")
    rows = table.to_arrow()
    decade = compute.multiply(compute.divide(rows["year"], 10), 10)
    counts = pyarrow.table({"decade": decade}).group_by("decade").aggregate([("decade", "count")]).sort_by("decade")
    progress("aggregate")
    with open(directory / "articles.jsonl", "w") as file:
        for row in table.to_arrow().drop_columns("vector").to_pylist():
            file.write(json.dumps(row) + "\n")
    progress("export")
    return {
        "filtered": sorted(row["slug"] for row in filtered),
        "found": [row["slug"] for row in found],
        "counts": [(row["decade"], row["decade_count"]) for row in counts.to_pylist()],
    }
