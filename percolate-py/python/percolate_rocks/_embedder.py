"""The protocol of embedders, which turn text into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Embedder(Protocol):
    """Turns texts into vectors of one length. Any object with these three members is an embedder.

    Examples:
        >>> class Length:
        ...     name = "length"
        ...     dimensions = 1
        ...     def embed(self, texts):
        ...         return [[float(len(text))] for text in texts]
        >>> db = Database(tmp_path / "embedded", embedder=Length())
        >>> db.close()
    """

    @property
    def name(self) -> str:
        """A name for the vectors, which must change when they do: only equal names are compared."""

    @property
    def dimensions(self) -> int:
        """The length of every vector."""

    def embed(self, texts: list[str], /) -> Sequence[Sequence[float]]:
        """Return one vector per text, in order, as lists or as a numpy array."""
