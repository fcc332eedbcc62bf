"""`Table` and `AsyncTable`: a table whose entities are instances of a class.

Both use the methods of `Database`. `Binding` converts instances and data for both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from operator import index
from typing import TYPE_CHECKING, Any, Generic, Literal, SupportsIndex, TypeAlias, TypeVar
from uuid import UUID

from ._models import codec_of
from ._percolate_rocks import Database, EntityError, TraceContext, UnknownTableError, _select_ids
from ._progress import Progress
from ._types import Array, Key, Value, Vectors

if TYPE_CHECKING:
    from ._async import AsyncDatabase

T = TypeVar("T")

Trace: TypeAlias = TraceContext | Mapping[str, str] | None

#: The entities that `where` reads together.
PAGE = 1000

#: A value or bound that was not passed. `None` is a value.
_OMITTED: Any = object()


@dataclasses.dataclass(frozen=True)
class Fields:
    """The arguments of `Database.table` that name fields of the model, and `embed`."""

    key_field: str | None = None
    indexed_fields: Iterable[str] | None = None
    embedding_fields: Iterable[str] | None = None
    id_field: str | None = None
    created_at_field: str | None = None
    updated_at_field: str | None = None
    embed: Literal["queued", "on_write"] | None = None


class Binding(Generic[T]):
    """The entities of a table as instances of a model."""

    def __init__(self, table: str, model: type[T], fields: Fields) -> None:
        self.table = table
        self.model = model
        self._codec = codec_of(model)
        system = {
            "_id": fields.id_field,
            "_created_at": fields.created_at_field,
            "_updated_at": fields.updated_at_field,
        }
        #: The names of fields in data that hold system fields, by the names of the system fields.
        self._system = {name: self.stored(field) for name, field in system.items() if field is not None}
        self.schema = self._schema(fields)

    def stored(self, field: str) -> str:
        """Return the name of a field in data.

        Raises:
            ValueError: The model has no such field.
        """
        names = self._codec.names
        if field in names:
            return names[field]
        if field in names.values():
            return field
        known = ", ".join(f"`{name}`" for name in names)
        raise ValueError(f"{self.model.__name__} has no field `{field}`; its fields are {known}")

    def _schema(self, fields: Fields) -> dict[str, Any]:
        schema = self._codec.schema()
        for name in self._system.values():
            schema.get("properties", {}).pop(name, None)
            if name in schema.get("required", []):
                schema["required"] = [required for required in schema["required"] if required != name]
        if fields.key_field is not None:
            schema["key_field"] = self.stored(fields.key_field)
        if fields.indexed_fields is not None:
            schema["indexed_fields"] = [self.stored(field) for field in fields.indexed_fields]
        if fields.embedding_fields is not None:
            schema["embedding_fields"] = [self.stored(field) for field in fields.embedding_fields]
        if fields.embed is not None:
            schema["embed"] = fields.embed
        return schema

    def to_data(self, instance: T) -> dict[str, Any]:
        """Return the data of an instance to write.

        Raises:
            TypeError: It is not an instance of the model.
        """
        if not isinstance(instance, self.model):
            raise TypeError(
                f"the table `{self.table}` holds {self.model.__name__}, not {type(instance).__name__}"
            )
        data = self._codec.to_data(instance)
        # The times are set by the database.
        for system, name in self._system.items():
            value = data.pop(name, None)
            if system == "_id" and value is not None:
                data[system] = value
        return data

    def to_changes(self, changes: Mapping[str, Any], id: str | UUID | None = None) -> dict[str, Any]:
        """Return changes with the names and the values of fields in data.

        The fields that hold system fields are left out, as in an instance that is written, and so are
        computed fields: an instance that was read has them.

        Raises:
            ValueError: The model has no such field and allows no extra ones, or the id is another one.
        """
        data = {}
        for field, value in changes.items():
            if field in self._codec.computed:
                continue
            if self._codec.allows_extra and not self.has(field):
                data[field] = self._codec.to_value(field, value)
                continue
            stored = self.stored(field)
            if stored == self._system.get("_id") and None not in (id, value) and str(id) != str(value):
                raise ValueError(f"`{field}` is the id of the entity, which cannot change from {id} to {value}")
            if stored not in self._system.values():
                data[stored] = self.value(field, value)
        return data

    def vectors(self, vectors: Vectors | None) -> Vectors | None:
        """Return vectors with the names of fields in data."""
        return None if vectors is None else {self.stored(field): vector for field, vector in vectors.items()}

    def key(self, key: Key | None) -> Any:
        """Return the value of the key field in data, for the one in an instance."""
        field = self.schema.get("key_field")
        # The database raises an error if the table has no key field.
        return key if key is None or not isinstance(field, str) or not self.has(field) else self.value(field, key)

    def keys(self, keys: Iterable[Key] | None) -> list[Any] | None:
        """Return the values of the key field in data, for those in instances."""
        return None if keys is None else [self.key(key) for key in keys]

    def bounds(self, field: str, **bounds: Any) -> dict[str, Any]:
        """Return the bounds of a search that were passed, with the values of the field in data.

        Raises:
            ValueError: A range of decimals that are stored as text, whose order is another one.
        """
        given = {name: bound for name, bound in bounds.items() if bound is not _OMITTED}
        ranged = given.keys() - {"value"}
        if ranged and self._has_decimal_text(field):
            raise ValueError(
                f"the decimals of `{field}` are stored as text, in which \"10\" is less than \"9\", so that find cannot "
                f'compare them; use where(\'CAST("{self.stored(field)}" AS DECIMAL(38, 10)) > $1\', [Decimal(9)])'
            )
        return {name: self.value(field, bound) for name, bound in given.items()}

    def _has_decimal_text(self, field: str) -> bool:
        name = self._name(field)
        return self._codec.holds_decimals(name) and isinstance(self._codec.to_value(name, Decimal(1)), str)

    def has(self, field: str) -> bool:
        """Return whether the model has a field, named as in Python or as in data."""
        return field in self._codec.names or field in self._codec.names.values()

    def _name(self, field: str) -> str:
        stored = self.stored(field)
        (name,) = (name for name, alias in self._codec.names.items() if alias == stored)
        return name

    def value(self, field: str, value: Any) -> Any:
        """Return a value of a field in data."""
        return self._codec.to_value(self._name(field), value)

    def from_entity(self, entity: dict[str, Any]) -> T:
        """Return the instance of an entity that was read.

        Raises:
            EntityError: The entity does not fit the model.
        """
        id = entity["_id"]
        for system in ("_id", "_created_at", "_updated_at"):
            value = entity.pop(system)
            if system in self._system:
                entity[self._system[system]] = value
        try:
            return self._codec.from_data(entity)
        except Exception as error:
            field = self.schema.get("key_field")
            key = f" with the key {entity[field]!r}" if field in entity else ""
            raise EntityError(
                f"the entity {id}{key} of `{self.table}` does not fit {self.model.__name__}: {error}; correct it with "
                "the methods of Database"
            ) from error

    def from_found(self, entity: dict[str, Any] | None) -> T | None:
        """Return the instance of an entity, if there is one."""
        return None if entity is None else self.from_entity(entity)

    def query(self, where: str, order_by: str | None, limit: int | None) -> str:
        """Return the query for the ids of the entities that match a condition.

        Raises:
            QueryError: The condition is not one.
        """
        sql = _select_ids(self.table, where)
        if order_by is not None:
            sql += f" ORDER BY {order_by}\n"
        if limit is not None:
            if not isinstance(limit, SupportsIndex):
                raise TypeError(f"limit must be an int, not {type(limit).__name__}")
            if index(limit) < 0:
                raise ValueError(f"limit must be 0 or more, not {limit}")
            sql += f" LIMIT {index(limit)}"
        return sql

    def from_hits(self, hits: list[tuple[dict[str, Any], float]]) -> list[tuple[T, float]]:
        """Return the instances of the entities that a search found, with their distances."""
        return [(self.from_entity(entity), distance) for entity, distance in hits]

    def filter(
        self, where: str | Callable[[T], object] | None
    ) -> str | Callable[[dict[str, Any]], object] | None:
        """Return the filter of a search for entities."""
        if where is None or isinstance(where, str):
            return where
        if not callable(where):
            raise TypeError(f"where must be a condition or a function, not {type(where).__name__}")
        function = where
        return lambda entity: function(self.from_entity(entity))

    def __repr__(self) -> str:
        return f"Table({self.table!r}, {self.model.__name__})"


def register(database: Database, table: str, schema: dict[str, Any], trace_context: Trace) -> dict[str, Any] | None:
    """Register a schema, unless it is registered already."""
    try:
        if database.schema(table) == schema:
            return None
    except UnknownTableError:
        pass
    return database.register_schema(table, schema, trace_context=trace_context)


class Table(Generic[T]):
    """A table whose entities are instances of `T`; returned by `Database.table`.

    Its methods are those of `Database` with the same names. The table can also be used through
    `Database`, with dicts.
    """

    def __init__(
        self, database: Database, name: str, model: type[T], fields: Fields, trace_context: Trace = None
    ) -> None:
        self._database = database
        self._binding = Binding(name, model, fields)
        #: The report of the entities that do not match the schema of the model, as returned by
        #: `Database.register_schema`. `None` if all match, and also if the schema was registered
        #: before: the entities are not checked again then.
        self.mismatches = register(database, name, self._binding.schema, trace_context)

    @property
    def name(self) -> str:
        """The name of the table."""
        return self._binding.table

    @property
    def model(self) -> type[T]:
        """The class of the entities."""
        return self._binding.model

    @property
    def schema(self) -> dict[str, Any]:
        """The registered schema."""
        return self._binding.schema

    def insert(self, instance: T, *, vectors: Vectors | None = None, trace_context: Trace = None) -> str:
        """Insert an instance and return its id. See `Database.insert`."""
        data = self._binding.to_data(instance)
        return self._database.insert(self.name, data, vectors=self._binding.vectors(vectors), trace_context=trace_context)

    def upsert(self, instance: T, *, vectors: Vectors | None = None, trace_context: Trace = None) -> str:
        """Insert an instance, or replace the one with the same key or id. See `Database.upsert`."""
        data = self._binding.to_data(instance)
        return self._database.upsert(self.name, data, vectors=self._binding.vectors(vectors), trace_context=trace_context)

    def insert_many(
        self,
        instances: Iterable[T],
        *,
        vectors: Iterable[Vectors | None] | None = None,
        trace_context: Trace = None,
    ) -> list[str]:
        """Insert several instances, all or none. See `Database.insert_many`."""
        data = [self._binding.to_data(instance) for instance in instances]
        named = None if vectors is None else map(self._binding.vectors, vectors)
        return self._database.insert_many(self.name, data, vectors=named, trace_context=trace_context)

    def update(
        self,
        id: str | UUID | None = None,
        changes: Mapping[str, Any] | None = None,
        *,
        key: Key | None = None,
        if_unchanged_since: str | datetime | None = None,
        vectors: Vectors | None = None,
        trace_context: Trace = None,
    ) -> T:
        """Set the fields in `changes` and return the changed instance. See `Database.update`."""
        entity = self._database.update(
            self.name,
            id,
            None if changes is None else self._binding.to_changes(changes, id),
            key=self._binding.key(key),
            if_unchanged_since=if_unchanged_since,
            vectors=self._binding.vectors(vectors),
            trace_context=trace_context,
        )
        return self._binding.from_entity(entity)

    def update_where(
        self,
        where: str,
        changes: Mapping[str, Any],
        params: Iterable[Value] | None = None,
        *,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> int:
        """Set the fields in `changes` of all entities that match a condition. Return their number. See
        `Database.update_where`."""
        return self._database.update_where(
            self.name,
            where,
            self._binding.to_changes(changes),
            params,
            timeout=timeout,
            trace_context=trace_context,
        )

    def delete_where(
        self,
        where: str,
        params: Iterable[Value] | None = None,
        *,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> int:
        """Delete all entities that match a condition. Return their number. See `Database.delete_where`."""
        return self._database.delete_where(
            self.name, where, params, timeout=timeout, trace_context=trace_context
        )

    def delete(
        self,
        id: str | UUID | None = None,
        *,
        key: Key | None = None,
        if_unchanged_since: str | datetime | None = None,
        trace_context: Trace = None,
    ) -> bool:
        """See `Database.delete`."""
        return self._database.delete(
            self.name,
            id,
            key=self._binding.key(key),
            if_unchanged_since=if_unchanged_since,
            trace_context=trace_context,
        )

    def get(self, id: str | UUID | None = None, *, key: Key | None = None, trace_context: Trace = None) -> T | None:
        """Return the instance with this id or key, or `None`. See `Database.get`."""
        entity = self._database.get(self.name, id, key=self._binding.key(key), trace_context=trace_context)
        return self._binding.from_found(entity)

    def get_many(
        self,
        ids: Iterable[str | UUID] | None = None,
        *,
        keys: Iterable[Key] | None = None,
        trace_context: Trace = None,
    ) -> list[T | None]:
        """Return the instances with these ids or keys, with `None` for missing ones."""
        entities = self._database.get_many(self.name, ids, keys=self._binding.keys(keys), trace_context=trace_context)
        return [self._binding.from_found(entity) for entity in entities]

    def find(
        self,
        field: str,
        value: Value = _OMITTED,
        *,
        ge: Value = _OMITTED,
        gt: Value = _OMITTED,
        le: Value = _OMITTED,
        lt: Value = _OMITTED,
        trace_context: Trace = None,
    ) -> list[T]:
        """Return the instances whose indexed field is within bounds. See `Database.find`."""
        bounds = self._binding.bounds(field, value=value, ge=ge, gt=gt, le=le, lt=lt)
        field = self._binding.stored(field)
        entities = self._database.find(self.name, field, trace_context=trace_context, **bounds)
        return [self._binding.from_entity(entity) for entity in entities]

    def where(
        self,
        where: str = "true",
        params: Iterable[Value] | None = None,
        *,
        order_by: str | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> list[T]:
        """Return the instances that match a condition.

        The entities are read after the query for their ids. An entity that was deleted meanwhile is
        left out, and one that was changed may no longer match.

        Args:
            where: The text after WHERE of a `Database.query`, with `$1`, `$2` and so on for values.
                Columns have the names of fields in data, which are the aliases in a Pydantic model.
            params: The values of the placeholders.
            order_by: The text after ORDER BY. Without it, the order is not defined.
            limit: The largest number of instances.
            timeout: The longest time of the query in seconds.
        """
        sql = self._binding.query(where, order_by, limit)
        rows = self._database.query(sql, params, timeout=timeout, trace_context=trace_context)
        ids = [row["_id"] for row in rows]
        found: list[T] = []
        for start in range(0, len(ids), PAGE):
            page = self.get_many(ids[start : start + PAGE], trace_context=trace_context)
            found += [instance for instance in page if instance is not None]
        return found

    def scan(self, *, page_size: int = 256, trace_context: Trace = None) -> Iterator[T]:
        """Return an iterator over all instances, in the order of their ids. See `Database.scan`."""
        entities = self._database.scan(self.name, page_size=page_size, trace_context=trace_context)
        return map(self._binding.from_entity, entities)

    def count(self, *, trace_context: Trace = None) -> int:
        """Return the number of instances."""
        return self._database.count(self.name, trace_context=trace_context)

    def search(
        self,
        text: str,
        limit: int = 10,
        *,
        where: str | Callable[[T], object] | None = None,
        params: Iterable[Value] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> list[tuple[T, float]]:
        """Return the instances nearest in meaning to `text`, with their distances. See
        `Database.search`."""
        hits = self._database.search(
            self.name,
            text,
            limit,
            where=self._binding.filter(where),
            params=params,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )
        return self._binding.from_hits(hits)

    def search_vector(
        self,
        vector: Sequence[float] | Array,
        limit: int = 10,
        *,
        where: str | Callable[[T], object] | None = None,
        params: Iterable[Value] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> list[tuple[T, float]]:
        """Search as `search` does, with a vector. See `Database.search_vector`."""
        hits = self._database.search_vector(
            self.name,
            vector,
            limit,
            where=self._binding.filter(where),
            params=params,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )
        return self._binding.from_hits(hits)

    def __repr__(self) -> str:
        return repr(self._binding)


class AsyncTable(Generic[T]):
    """A `Table` whose methods are awaited; returned by `AsyncDatabase.table`."""

    def __init__(self, database: AsyncDatabase, table: Table[T]) -> None:
        self._database = database
        self._table = table
        self._binding = table._binding
        self.mismatches = table.mismatches

    @property
    def name(self) -> str:
        """See `Table.name`."""
        return self._table.name

    @property
    def model(self) -> type[T]:
        """See `Table.model`."""
        return self._table.model

    @property
    def schema(self) -> dict[str, Any]:
        """See `Table.schema`."""
        return self._table.schema

    async def insert(self, instance: T, *, vectors: Vectors | None = None, trace_context: Trace = None) -> str:
        """See `Table.insert`."""
        data = self._binding.to_data(instance)
        named = self._binding.vectors(vectors)
        return await self._database.insert(self.name, data, vectors=named, trace_context=trace_context)

    async def upsert(self, instance: T, *, vectors: Vectors | None = None, trace_context: Trace = None) -> str:
        """See `Table.upsert`."""
        data = self._binding.to_data(instance)
        named = self._binding.vectors(vectors)
        return await self._database.upsert(self.name, data, vectors=named, trace_context=trace_context)

    async def insert_many(
        self,
        instances: Iterable[T],
        *,
        vectors: Iterable[Vectors | None] | None = None,
        trace_context: Trace = None,
    ) -> list[str]:
        """See `Table.insert_many`."""
        data = [self._binding.to_data(instance) for instance in instances]
        named = None if vectors is None else map(self._binding.vectors, vectors)
        return await self._database.insert_many(self.name, data, vectors=named, trace_context=trace_context)

    async def update(
        self,
        id: str | UUID | None = None,
        changes: Mapping[str, Any] | None = None,
        *,
        key: Key | None = None,
        if_unchanged_since: str | datetime | None = None,
        vectors: Vectors | None = None,
        trace_context: Trace = None,
    ) -> T:
        """See `Table.update`."""
        entity = await self._database.update(
            self.name,
            id,
            None if changes is None else self._binding.to_changes(changes, id),
            key=self._binding.key(key),
            if_unchanged_since=if_unchanged_since,
            vectors=self._binding.vectors(vectors),
            trace_context=trace_context,
        )
        return self._binding.from_entity(entity)

    async def update_where(
        self,
        where: str,
        changes: Mapping[str, Any],
        params: Iterable[Value] | None = None,
        *,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> int:
        """See `Table.update_where`."""
        return await self._database.update_where(
            self.name,
            where,
            self._binding.to_changes(changes),
            params,
            timeout=timeout,
            trace_context=trace_context,
        )

    async def delete_where(
        self,
        where: str,
        params: Iterable[Value] | None = None,
        *,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> int:
        """See `Table.delete_where`."""
        return await self._database.delete_where(
            self.name, where, params, timeout=timeout, trace_context=trace_context
        )

    async def delete(
        self,
        id: str | UUID | None = None,
        *,
        key: Key | None = None,
        if_unchanged_since: str | datetime | None = None,
        trace_context: Trace = None,
    ) -> bool:
        """See `Table.delete`."""
        return await self._database.delete(
            self.name,
            id,
            key=self._binding.key(key),
            if_unchanged_since=if_unchanged_since,
            trace_context=trace_context,
        )

    async def get(
        self, id: str | UUID | None = None, *, key: Key | None = None, trace_context: Trace = None
    ) -> T | None:
        """See `Table.get`."""
        entity = await self._database.get(self.name, id, key=self._binding.key(key), trace_context=trace_context)
        return self._binding.from_found(entity)

    async def get_many(
        self,
        ids: Iterable[str | UUID] | None = None,
        *,
        keys: Iterable[Key] | None = None,
        trace_context: Trace = None,
    ) -> list[T | None]:
        """See `Table.get_many`."""
        named = self._binding.keys(keys)
        entities = await self._database.get_many(self.name, ids, keys=named, trace_context=trace_context)
        return [self._binding.from_found(entity) for entity in entities]

    async def find(
        self,
        field: str,
        value: Value = _OMITTED,
        *,
        ge: Value = _OMITTED,
        gt: Value = _OMITTED,
        le: Value = _OMITTED,
        lt: Value = _OMITTED,
        trace_context: Trace = None,
    ) -> list[T]:
        """See `Table.find`."""
        bounds = self._binding.bounds(field, value=value, ge=ge, gt=gt, le=le, lt=lt)
        field = self._binding.stored(field)
        entities = await self._database.find(self.name, field, trace_context=trace_context, **bounds)
        return [self._binding.from_entity(entity) for entity in entities]

    async def where(
        self,
        where: str = "true",
        params: Iterable[Value] | None = None,
        *,
        order_by: str | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> list[T]:
        """See `Table.where`."""
        sql = self._binding.query(where, order_by, limit)
        rows = await self._database.query(sql, params, timeout=timeout, trace_context=trace_context)
        ids = [row["_id"] for row in rows]
        found: list[T] = []
        for start in range(0, len(ids), PAGE):
            page = await self.get_many(ids[start : start + PAGE], trace_context=trace_context)
            found += [instance for instance in page if instance is not None]
        return found

    async def scan(self, *, page_size: int = 256, trace_context: Trace = None) -> AsyncIterator[T]:
        """See `Table.scan`, for `async for`."""
        async for entity in self._database.scan(self.name, page_size=page_size, trace_context=trace_context):
            yield self._binding.from_entity(entity)

    async def count(self, *, trace_context: Trace = None) -> int:
        """See `Table.count`."""
        return await self._database.count(self.name, trace_context=trace_context)

    async def search(
        self,
        text: str,
        limit: int = 10,
        *,
        where: str | Callable[[T], object] | None = None,
        params: Iterable[Value] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> list[tuple[T, float]]:
        """See `Table.search`."""
        hits = await self._database.search(
            self.name,
            text,
            limit,
            where=self._binding.filter(where),
            params=params,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )
        return self._binding.from_hits(hits)

    async def search_vector(
        self,
        vector: Sequence[float] | Array,
        limit: int = 10,
        *,
        where: str | Callable[[T], object] | None = None,
        params: Iterable[Value] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        progress: bool = False,
        timeout: float | None = None,
        trace_context: Trace = None,
    ) -> list[tuple[T, float]]:
        """See `Table.search_vector`."""
        hits = await self._database.search_vector(
            self.name,
            vector,
            limit,
            where=self._binding.filter(where),
            params=params,
            on_progress=on_progress,
            progress=progress,
            timeout=timeout,
            trace_context=trace_context,
        )
        return self._binding.from_hits(hits)

    def __repr__(self) -> str:
        return f"Async{self._table!r}"
