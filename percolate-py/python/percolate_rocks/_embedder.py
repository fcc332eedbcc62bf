"""What the database asks of whoever turns text into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Embedder(Protocol):
    """Turns texts into vectors of one length: any object with these three.

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
        """A name that changes when the vectors would: those of different embedders cannot be compared."""

    @property
    def dimensions(self) -> int:
        """The length of every vector."""

    def embed(self, texts: list[str], /) -> Sequence[Sequence[float]]:
        """One vector for each text, in their order: lists, or an array of numpy."""
