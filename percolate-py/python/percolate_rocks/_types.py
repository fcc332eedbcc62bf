"""The types of arguments, for the stub of the native module and `AsyncDatabase`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar, Protocol
from uuid import UUID


class Dataclass(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Model(Protocol):
    """A Pydantic model."""

    def model_dump(self, *, mode: str = ..., by_alias: bool | None = ...) -> dict[str, Any]:
        """Return the fields of the model."""


class BinaryFile(Protocol):
    """A file that takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Write bytes."""


class TextFile(Protocol):
    """A file that takes text."""

    def write(self, text: str, /) -> object:
        """Write text."""


class Array(Protocol):
    """An array of numpy, or another one with `tolist`."""

    def tolist(self) -> Any:
        """Return the numbers as a list."""


class ArrowStream(Protocol):
    """Rows with Arrow's PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the rows as a stream of batches."""


class ArrowArray(Protocol):
    """A batch of rows with Arrow's PyCapsule interface."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """Return the schema and the rows."""


#: Rows to insert.
Arrow = ArrowStream | ArrowArray
#: The data of an entity.
Data = Mapping[str, Any] | Dataclass | Model
#: A row to import: a line of JSON, or the data of an entity.
Row = str | bytes | bytearray | Data
#: The target of an export.
File = BinaryFile | TextFile
#: The value of a field, for `find` and the parameters of queries.
Value = str | int | float | bool | date | time | timedelta | UUID | Decimal | Enum | None
#: The value of a key field.
Key = str | int | date | time | UUID | Decimal | Enum
#: The vectors of embedded fields. `None` removes the vector of a field.
Vectors = Mapping[str, Sequence[float] | Array | None]
