"""The task with Chroma."""

import json
from collections import Counter
from pathlib import Path

import chromadb
from documents import embed


def task(directory: Path, documents, question, progress):
    client = chromadb.PersistentClient(directory / "db", chromadb.Settings(anonymized_telemetry=False))
    space = {"hnsw": {"space": "cosine"}}
    articles = client.create_collection("articles", configuration=space, embedding_function=None)
    size = client.get_max_batch_size()
    for batch in [documents[start : start + size] for start in range(0, len(documents), size)]:
        articles.add(
            ids=[document["slug"] for document in batch],
            documents=[document["body"] for document in batch],
            embeddings=embed([document["body"] for document in batch]),
            metadatas=[{"year": document["year"]} for document in batch],
        )
    progress("store")
    filtered = articles.get(where={"$and": [{"year": {"$gte": 1980}}, {"year": {"$lte": 1985}}]}, include=[])
    progress("filter")
    found = articles.query(query_embeddings=embed([question]), n_results=5, where={"year": {"$gte": 2000}}, include=[])
    progress("search")
    articles.update(ids=["article-7"], metadatas=[{"year": 2030}])
    progress("update")
    articles.delete(where={"year": {"$lt": 1960}})
    progress("delete")
    counts = Counter(row["year"] // 10 * 10 for row in articles.get(include=["metadatas"])["metadatas"])
    progress("aggregate")
    everything = articles.get(include=["documents", "metadatas"])
    with open(directory / "articles.jsonl", "w") as file:
        for slug, body, metadata in zip(everything["ids"], everything["documents"], everything["metadatas"]):
            file.write(json.dumps({"slug": slug, "body": body, **metadata}) + "\n")
    progress("export")
    return {
        "filtered": sorted(filtered["ids"]),
        "found": found["ids"][0],
        "counts": sorted(counts.items()),
    }
