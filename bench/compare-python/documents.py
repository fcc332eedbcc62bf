"""The documents of the task, and the embeddings that every database receives.

An embedding is computed from the words of a text, so that texts with common words are near each
other. It costs little, because the task measures the databases and not a model.
"""

from __future__ import annotations

import hashlib

import numpy

DIMENSIONS = 256
WORDS = "water rock river glass bread paper stone metal cloud forest engine signal memory garden".split()


def documents(count: int = 5_000) -> list[dict[str, object]]:
    """Return the documents: a slug, a year, and a body of five words."""
    return [
        {
            "slug": f"article-{number}",
            "year": 1950 + number % 75,
            "body": " ".join(WORDS[number * step % len(WORDS)] for step in (1, 3, 5, 7, 11)) + f" {number}",
        }
        for number in range(count)
    ]


def _of_word(word: str) -> numpy.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
    return numpy.random.default_rng(seed).standard_normal(DIMENSIONS)


_VECTORS: dict[str, numpy.ndarray] = {}


def embed(texts: list[str]) -> list[list[float]]:
    """Return one vector of length 1 for each text."""
    vectors = []
    for text in texts:
        words = text.split()
        for word in words:
            if word not in _VECTORS:
                _VECTORS[word] = _of_word(word)
        vector = numpy.sum([_VECTORS[word] for word in words], axis=0)
        vectors.append((vector / numpy.linalg.norm(vector)).astype(numpy.float32).tolist())
    return vectors
