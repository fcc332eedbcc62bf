"""The interface of `percolate-rocks` 0.3, whose package was named `rem_db`, over `percolate_rocks.Database`.

    from percolate_rocks.compat import Database      # was: from rem_db import Database

It is for programs that move to this package step by step. The page `docs/migration.md` lists what is the same,
what differs, and how to move data. New programs use `percolate_rocks.Database`, which `Database.database` returns.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID, uuid5

from ._percolate_rocks import Database as _Database
from ._percolate_rocks import _is_url
from ._types import Data

__all__ = ["Database"]

#: The fields that this package adds to each entity.
_SYSTEM = ("_id", "_created_at", "_updated_at")

#: The fields that are the key of a table whose schema names none, in this order.
_KEYS = ("uri", "key", "name")

#: The namespace of the ids of parts of a document, which have two fields as their key.
_PARTS = UUID("3f6f1c1e-6c39-4c52-9e0b-5f6f5d0f3a11")

_TEXT = {"type": ["string", "null"]}
_NUMBER = {"type": ["number", "null"]}
_OBJECT = {"type": ["object", "null"]}

#: The tables that exist from the beginning.
_BUILT_IN: dict[str, dict[str, Any]] = {
    "documents": {"properties": {"uri": {"type": "string"}, "name": _TEXT}, "key_field": "uri"},
    "resources": {
        "properties": {"uri": _TEXT, "name": _TEXT, "content": _TEXT, "chunk_ordinal": {"type": "integer"}},
        "embedding_fields": ["content"],
        "key_field": "uri",
    },
    "sessions": {
        "properties": {
            "session_id": {"type": "string"},
            "tenant_id": _TEXT,
            "agent_uri": _TEXT,
            "message_count": _NUMBER,
            "metadata": _OBJECT,
            "created_at": _TEXT,
            "updated_at": _TEXT,
        },
        "key_field": "session_id",
    },
    "messages": {
        "properties": {
            "message_id": {"type": "string"},
            "session_id": _TEXT,
            "tenant_id": _TEXT,
            "role": _TEXT,
            "content": _TEXT,
            "model": _TEXT,
            "timestamp": _TEXT,
            "usage": _OBJECT,
            "trace_id": _TEXT,
            "span_id": _TEXT,
        },
        "key_field": "message_id",
        "indexed_fields": ["session_id"],
    },
    "feedback": {
        "properties": {
            "feedback_id": {"type": "string"},
            "session_id": _TEXT,
            "message_id": _TEXT,
            "tenant_id": _TEXT,
            "label": _TEXT,
            "score": _NUMBER,
            "feedback_text": _TEXT,
            "user_id": _TEXT,
            "timestamp": _TEXT,
            "metadata": _OBJECT,
            "trace_id": _TEXT,
            "span_id": _TEXT,
        },
        "key_field": "feedback_id",
        "indexed_fields": ["session_id"],
    },
}

#: What this package does not have, and what to use instead.
_GONE = {
    "ask": "a language model that writes SQL is not part of it: pass its answer to `query`",
    "export": "use `database.export_jsonl` or `database.export_parquet`",
    "ingest": "split the document yourself and pass the parts to `insert_batch`",
    "traverse": "store the ids of related entities in fields, and join the tables in SQL",
}


class Database:
    """A database with the methods of `rem_db.Database`.

    Args:
        path: The directory, or a URL. By default `P8_DB_PATH`, or else `db` in `P8_HOME`, or else
            `~/.p8/db`.
        tenant_id: The tenant. By default `P8_TENANT_ID`, or else `default`.
        options: Those of `percolate_rocks.Database`, such as `embedder`.

    Raises:
        FormatError: The directory holds a database of `rem_db`, whose format is another one.

    Examples:
        >>> import json, os
        >>> from percolate_rocks.compat import Database
        >>> os.environ["P8_DB_PATH"] = str(tmp_path / "db")
        >>> with Database() as db:
        ...     schema = {"properties": {"title": {"type": "string"}}, "key_field": "title"}
        ...     db.register_schema("articles", json.dumps(schema))
        ...     id = db.insert("articles", {"title": "Percolation"})
        ...     db.get(id), db.lookup("articles", "Percolation"), db.query("SELECT title FROM articles")
        ({'title': 'Percolation'}, [{'title': 'Percolation'}], [{'title': 'Percolation'}])
        >>> del os.environ["P8_DB_PATH"]
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, tenant_id: str | None = None, **options: Any) -> None:
        place = _default_path() if path is None else os.fspath(path)
        if tenant_id is None:
            tenant_id = os.environ.get("P8_TENANT_ID", "default")
        if not _is_url(place):
            place = os.path.expanduser(place)
            if options.get("create_if_missing", True) and not options.get("read_only", False):
                Path(place).parent.mkdir(parents=True, exist_ok=True)
        self._database = _Database(place, tenant=tenant_id, **options)
        if not options.get("read_only", False):
            tables = set(self._database.tables())
            for name, schema in _BUILT_IN.items():
                if name not in tables:
                    self.register_schema(name, schema)

    @property
    def database(self) -> _Database:
        """The database, with all methods of `percolate_rocks.Database`."""
        return self._database

    def register_schema(self, name: str, schema_json: str | Mapping[str, Any]) -> None:
        """Register or change the schema of a table: JSON Schema as text or as a mapping.

        The keywords `key_field`, `indexed_fields` and `embedding_fields` have the same meaning. Without a
        `key_field`, the key is the first of the properties `uri`, `key` and `name` that exists. Texts are
        embedded when they are written.
        """
        given: Mapping[str, Any] = json.loads(schema_json) if isinstance(schema_json, str) else schema_json
        self._database.register_schema(name, _converted(given))

    def insert(self, table: str, data: Data) -> str:
        """Write an entity, and replace the one with the same key if there is one. Return the id."""
        return self.insert_batch(table, [data])[0]

    def insert_batch(self, table: str, entities: Iterable[Data]) -> list[str]:
        """Write entities as `insert` does, all or none of them. Return the ids."""
        schema = self._database.schema(table)
        with self._database.batch() as batch:
            return [
                batch.insert(table, entity) if identified is None else batch.upsert(table, identified)
                for entity, identified in ((entity, _identified(table, schema, entity)) for entity in entities)
            ]

    def upsert(self, models: Iterable[Any]) -> list[str]:
        """Write instances of Pydantic models, each into the table with the name of its class. Return the ids."""
        return [self.insert(type(model).__name__, model) for model in models]

    def get(self, entity_id: str | UUID) -> dict[str, Any] | None:
        """Return the data of the entity with this id, of whichever table it is, or `None`."""
        for table in self._database.tables():
            found = self._database.get(table, entity_id)
            if found is not None:
                return _data_of(found)
        return None

    def lookup(self, table: str, key_value: str | None = None) -> list[dict[str, Any]]:
        """Return the data of the entities with this key in a table. With one argument, which is the key, search
        all tables, as the versions before 0.3 do."""
        if key_value is not None:
            return self._found(table, key_value)
        tables = self._database.tables()
        return [entity for name in tables for entity in self._found(name, table, needs_key=False)]

    def search(self, query: str, schema: str, top_k: int = 10) -> list[tuple[dict[str, Any], float]]:
        """Return the nearest entities of a table with their scores: 1 for the same direction, 0 for none."""
        found = self._database.search(schema, query, limit=top_k)
        return [(_data_of(entity), 1.0 - distance) for entity, distance in found]

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Run a query and return its rows. `*` does not include the fields that this package adds."""
        hidden = [name for name in _SYSTEM if name not in sql]
        return [{name: row[name] for name in row if name not in hidden} for row in self._database.query(sql)]

    def list_schemas(self) -> list[str]:
        """Return the names of the tables."""
        return self._database.tables()

    def get_schema(self, name: str) -> dict[str, Any]:
        """Return the schema of a table, as it is registered in this package."""
        return self._database.schema(name)

    def close(self) -> None:
        """Make everything durable and close the database."""
        self._database.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        if name in _GONE:
            raise AttributeError(f"percolate_rocks.compat.Database has no `{name}`: {_GONE[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _found(self, table: str, key: str, needs_key: bool = True) -> list[dict[str, Any]]:
        schema = self._database.schema(table)
        if _has_parts(schema):
            return [_data_of(entity) for entity in self._database.find(table, "uri", key)]
        if "key_field" not in schema and not needs_key:
            return []
        found = self._database.lookup(table, key)
        return [] if found is None else [_data_of(found)]


def _default_path() -> str:
    if path := os.environ.get("P8_DB_PATH"):
        return path
    return os.path.join(os.environ.get("P8_HOME") or os.path.join("~", ".p8"), "db")


def _converted(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with the rules of `rem_db`: the default key, texts embedded on write, and dates as text."""
    properties = {name: _without_format(field) for name, field in schema.get("properties", {}).items()}
    converted = {**schema, "properties": properties}
    if "uri" in properties and "chunk_ordinal" in properties:
        # A document has several entities.
        converted.pop("key_field", None)
        indexed = list(schema.get("indexed_fields") or [])
        converted["indexed_fields"] = indexed if "uri" in indexed else [*indexed, "uri"]
    elif not schema.get("key_field"):
        key = next((name for name in _KEYS if name in properties), None)
        converted.pop("key_field", None)
        converted.update({} if key is None else {"key_field": key})
    if schema.get("embedding_fields"):
        converted.setdefault("embed", "on_write")
    return converted


def _without_format(field: Any) -> Any:
    """Return the schema of a field whose dates are text, as they were written."""
    if not isinstance(field, Mapping):
        return field
    text = {name: value for name, value in field.items() if name != "format"}
    if "anyOf" in text:
        text["anyOf"] = [_without_format(choice) for choice in text["anyOf"]]
    return text


def _has_parts(schema: Mapping[str, Any]) -> bool:
    """Return whether the entities of a table are parts of documents: `uri` and `chunk_ordinal` are the key."""
    return "key_field" not in schema and {"uri", "chunk_ordinal"} <= set(schema.get("properties", ()))


def _identified(table: str, schema: Mapping[str, Any], data: Data) -> Data | None:
    """Return data with which `upsert` finds the entity, or `None` if each insert is a new one."""
    if "key_field" in schema:
        return data
    fields = data if isinstance(data, Mapping) else getattr(data, "model_dump", dict)()
    if not _has_parts(schema) or fields.get("uri") is None:
        return None
    part = json.dumps([table, fields["uri"], fields.get("chunk_ordinal") or 0])
    return {**fields, "_id": str(uuid5(_PARTS, part))}


def _data_of(entity: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entity.items() if name not in _SYSTEM}
