"""The models of typed tables: their JSON Schemas, and their instances to data and back.

A Pydantic model is described and converted by Pydantic. A dataclass is described here from its type
hints, so that it needs no other package. Pydantic is never imported: a model brings it along.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import functools
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

T = TypeVar("T")


class Codec(Protocol[T]):
    """The conversion of a model."""

    #: The names of the fields in data, by their names in Python.
    names: dict[str, str]
    #: The names in Python of values that instances have and data lacks.
    computed: frozenset[str]
    #: Whether data may have fields that the model does not name.
    allows_extra: bool

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the model."""

    def to_data(self, instance: T) -> dict[str, Any]:
        """Return the fields of an instance."""

    def to_value(self, field: str, value: Any) -> Any:
        """Return the value of one field, as `to_data` does. Its type is not checked.

        Raises:
            ValueError: The field is not in data.
        """

    def holds_decimals(self, field: str) -> bool:
        """Return whether the values of a field may be decimals."""

    def from_data(self, data: dict[str, Any]) -> T:
        """Return the instance with these fields."""


def codec_of(model: type[T]) -> Codec[T]:
    """Return the conversion of a Pydantic model, a Pydantic dataclass or a dataclass.

    Raises:
        TypeError: The model is of another kind, or a field has a type without a JSON form.
    """
    if isinstance(model, type):
        if hasattr(model, "model_json_schema") and hasattr(model, "model_validate_json"):
            return PydanticModel(model)
        if hasattr(model, "__pydantic_validator__") and dataclasses.is_dataclass(model):
            return PydanticDataclass(model)
        if dataclasses.is_dataclass(model):
            return Dataclass(model)
    raise TypeError(f"the model of a table must be a Pydantic model or a dataclass, not {model!r}")


#: How Pydantic dumps an instance: as data that it reads again. This leaves out the computed fields, also
#: those of inner models.
DUMP: dict[str, Any] = {"mode": "json", "by_alias": True, "round_trip": True}


class Pydantic(Generic[T]):
    """A class of Pydantic. Data has the aliases of its fields."""

    def __init__(self, model: Any, fields: Mapping[str, Any]) -> None:
        self._model = model
        self._fields = fields
        self.names = aliases(model, fields)
        decorators = model.__pydantic_decorators__
        self.computed = frozenset(decorators.computed_fields)
        #: Whether the class has its own function that dumps all fields of an instance.
        self._dumps_itself = bool(decorators.model_serializers)

    def holds_decimals(self, field: str) -> bool:
        hint = self._fields[field].annotation
        return Decimal in (hint, *typing.get_args(hint))

    def to_value(self, field: str, value: Any) -> Any:
        if self._dumps_itself:
            from pydantic import TypeAdapter

            info = self._fields[field]
            hint: Any = typing.Annotated[(info.annotation, *info.metadata, None)]
            return TypeAdapter(hint).dump_python(value, warnings=False, **DUMP)
        data = self._dump(self._with(field, value), include={field}, warnings=False)
        # A field that the model excludes is not in data.
        if self.names.get(field, field) not in data:
            raise ValueError(f"`{field}` of {self._model.__name__} is not stored: the model excludes it")
        return data[self.names.get(field, field)]

    def _dump(self, instance: Any, **options: Any) -> dict[str, Any]:
        raise NotImplementedError

    def _with(self, field: str, value: Any) -> Any:
        raise NotImplementedError


class PydanticModel(Pydantic[T]):
    """A Pydantic model."""

    def __init__(self, model: Any) -> None:
        if getattr(model, "__pydantic_root_model__", False):
            raise TypeError(
                f"{model.__name__} is a RootModel, and an entity needs fields; use a model with a field for the value"
            )
        super().__init__(model, model.model_fields)
        self.allows_extra = model.model_config.get("extra") == "allow"

    def schema(self) -> dict[str, Any]:
        return dict(self._model.model_json_schema(by_alias=True))

    def to_data(self, instance: T) -> dict[str, Any]:
        return self._dump(instance)

    def _dump(self, instance: Any, **options: Any) -> dict[str, Any]:
        return dict(instance.model_dump(**DUMP, **options))

    def _with(self, field: str, value: Any) -> Any:
        """Return an instance with one field, of which neither the type nor the others are checked."""
        instance = self._model.__new__(self._model)
        values = {field: value}
        extra = None
        if self.allows_extra:
            extra = {} if field in self._fields else values
        for name, content in (
            ("__dict__", values if field in self._fields else {}),
            ("__pydantic_fields_set__", {field}),
            ("__pydantic_extra__", extra),
            ("__pydantic_private__", None),
        ):
            object.__setattr__(instance, name, content)
        return instance

    def from_data(self, data: dict[str, Any]) -> T:
        # JSON is accepted by strict models too: a `datetime` is text in it.
        instance: T = self._model.model_validate_json(json.dumps(data))
        return instance


class PydanticDataclass(Pydantic[T]):
    """A dataclass of Pydantic."""

    #: Pydantic does not dump values that it has no field for.
    allows_extra = False

    def __init__(self, model: Any) -> None:
        from pydantic import TypeAdapter

        super().__init__(model, model.__pydantic_fields__)
        self._adapter: Any = TypeAdapter(model)

    def schema(self) -> dict[str, Any]:
        return dict(self._adapter.json_schema(by_alias=True))

    def to_data(self, instance: T) -> dict[str, Any]:
        return self._dump(instance)

    def _dump(self, instance: Any, **options: Any) -> dict[str, Any]:
        return dict(self._adapter.dump_python(instance, **DUMP, **options))

    def _with(self, field: str, value: Any) -> Any:
        """Return an instance with one field, of which neither the type nor the others are checked."""
        instance = self._model.__new__(self._model)
        for name in self._fields:
            object.__setattr__(instance, name, value if name == field else None)
        return instance

    def from_data(self, data: dict[str, Any]) -> T:
        instance: T = self._adapter.validate_json(json.dumps(data))
        return instance


def aliases(model: type, fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of Pydantic's fields in data.

    Raises:
        TypeError: A field is written under another name than it is read.
    """
    names = {}
    for name, field in fields.items():
        written = field.serialization_alias or field.alias or name
        read = field.validation_alias or field.alias or name
        if written != read:
            raise TypeError(
                f"`{name}` of {model.__name__} is written as {written!r} and read as {read!r}; "
                "a model of a table needs the same alias for both"
            )
        names[name] = written
    return names


class Dataclass(Generic[T]):
    """A dataclass of the standard library."""

    computed: frozenset[str] = frozenset()
    allows_extra = False

    def __init__(self, model: Any) -> None:
        self._definitions: dict[str, dict[str, Any]] = {}
        self._model = model
        _, self._decode = Describer(self._definitions).dataclass(model)
        self.names = {field.name: field.name for field in dataclasses.fields(model)}
        self._hints = hints_of(model)

    def schema(self) -> dict[str, Any]:
        definitions: dict[str, dict[str, Any]] = copy.deepcopy(self._definitions)
        schema = dict(copy.deepcopy(definitions[self._model.__name__]))
        if '"$ref": ' in json.dumps(definitions):
            schema["$defs"] = definitions
        return schema

    def to_data(self, instance: T) -> dict[str, Any]:
        return {name: getattr(instance, name) for name in self.names}

    def to_value(self, field: str, value: Any) -> Any:
        # A decimal is text in the data of a field of this type, and a number elsewhere.
        return str(value) if isinstance(value, Decimal) and self.holds_decimals(field) else value

    def holds_decimals(self, field: str) -> bool:
        hint = self._hints[field]
        return Decimal in (hint, *typing.get_args(hint))

    def from_data(self, data: dict[str, Any]) -> T:
        instance: T = self._decode(data)
        return instance


def hints_of(model: type) -> dict[str, Any]:
    """Return the types of the fields of a dataclass.

    Raises:
        TypeError: A type is named that is not in the module of the class.
    """
    try:
        return typing.get_type_hints(model)
    except NameError as error:
        raise TypeError(
            f"the types of {model.__name__} cannot be read: {error}; define the class and the types of its fields at "
            "the top level of a module"
        ) from error


#: A JSON Schema, and the function that converts a value of it to Python.
Described = tuple[dict[str, Any], Callable[[Any], Any]]


def same(value: Any) -> Any:
    """Return a value as it is."""
    return value


class Describer:
    """Describes the types of fields. Dataclasses become definitions, so that they may be recursive."""

    def __init__(self, definitions: dict[str, dict[str, Any]]) -> None:
        self._definitions = definitions
        self._names: dict[type, str] = {}
        self._decoders: dict[str, Callable[[Any], Any]] = {}

    def dataclass(self, model: Any) -> Described:
        """Describe a dataclass, as a reference to its definition."""
        name = self._names.get(model)
        if name is None:
            name = model.__name__
            if name in self._definitions:
                raise TypeError(f"two dataclasses of the model are called {name}; rename one")
            self._names[model] = name
            self._definitions[name] = {}
            decoders: dict[str, Callable[[Any], Any]] = {}
            hints = hints_of(model)
            properties, required = {}, []
            for field in dataclasses.fields(model):
                place = f"{name}.{field.name}"
                properties[field.name], decoders[field.name] = self.describe(hints[field.name], place)
                if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                    required.append(field.name)
            self._definitions[name].update(
                {"title": name, "type": "object", "properties": properties, "required": required}
            )
            self._decoders[name] = functools.partial(decode_dataclass, model, decoders)
        return {"$ref": f"#/$defs/{name}"}, lambda value: self._decoders[name](value)

    def describe(self, hint: Any, place: str) -> Described:
        """Describe a type hint."""
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if hint in SCALARS:
            return SCALARS[hint]
        if hint in (Any, object):
            return {}, same
        if hasattr(hint, "__supertype__"):
            return self.describe(hint.__supertype__, place)
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return self.choice([member.value for member in hint], hint, place)
        if origin is typing.Literal:
            return self.choice(list(arguments), same, place)
        if origin in (typing.Union, types.UnionType):
            return self.union(arguments, place)
        if origin in (list, Sequence) or hint is list:
            node, decode = self.describe(arguments[0], place) if arguments else ({}, same)
            return {"type": "array", "items": node}, lambda value: [decode(item) for item in value]
        if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
            node, decode = self.describe(arguments[0], place)
            return {"type": "array", "items": node}, lambda value: tuple(decode(item) for item in value)
        if origin in (dict, Mapping) and arguments[0] is str:
            node, decode = self.describe(arguments[1], place)
            return (
                {"type": "object", "additionalProperties": node},
                lambda value: {key: decode(item) for key, item in value.items()},
            )
        if hint is dict:
            return {"type": "object"}, same
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            return self.dataclass(hint)
        raise TypeError(
            f"`{place}` has the type {hint!r}, which a table cannot describe; use a Pydantic model, or register a "
            "schema and use the methods of Database"
        )

    def choice(self, values: list[Any], decode: Callable[[Any], Any], place: str) -> Described:
        """Describe an enumeration of values."""
        for value in values:
            if value is not None and not isinstance(value, str | int | float | bool):
                raise TypeError(f"`{place}` has the value {value!r}, which JSON cannot hold")
        return {"enum": values}, decode

    def union(self, members: tuple[Any, ...], place: str) -> Described:
        """Describe a union: of one type and None, or of types that are the same in JSON."""
        described = [self.describe(member, place) for member in members]
        node = {"anyOf": [node for node, _ in described]}
        decoders = [decode for member, (_, decode) in zip(members, described, strict=True) if member is not type(None)]
        if len(decoders) == 1:
            decode = decoders[0]
            return node, lambda value: None if value is None else decode(value)
        if all(member in (str, int, float, bool, type(None)) for member in members):
            return node, same
        raise TypeError(
            f"`{place}` has a union of types that cannot be told apart in JSON; use a Pydantic model, or one type "
            "and None"
        )


def decode_dataclass(model: Any, decoders: Mapping[str, Callable[[Any], Any]], data: Any) -> Any:
    """Return an instance of a dataclass. Fields that the data lacks get their defaults.

    Raises:
        ValueError: The data does not fit.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{model.__name__} needs an object")
    arguments: dict[str, Any] = {}
    later: dict[str, Any] = {}
    for field in dataclasses.fields(model):
        if field.name not in data:
            continue
        try:
            value = decoders[field.name](data[field.name])
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"`{field.name}` does not fit {model.__name__}: {error}") from error
        (arguments if field.init else later)[field.name] = value
    try:
        instance = model(**arguments)
    except TypeError as error:
        raise ValueError(str(error)) from error
    for name, value in later.items():
        object.__setattr__(instance, name, value)
    return instance


def parse_datetime(text: str) -> datetime:
    """Parse a time in RFC 3339. Python 3.10 does not read `Z`."""
    if sys.version_info < (3, 11):
        text = re.sub(r"[Zz]$", "+00:00", text)
    return datetime.fromisoformat(text)


DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?)?")


def parse_duration(text: str) -> timedelta:
    """Parse a duration as percolate writes it: `P1DT2H3M4.5S`."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"Invalid isoformat string: {text!r}")
    sign, days, hours, minutes, seconds, fraction = match.groups(default="0")
    duration = timedelta(
        days=int(days),
        hours=int(hours),
        minutes=int(minutes),
        seconds=int(seconds),
        microseconds=int(fraction.ljust(6, "0")),
    )
    return -duration if sign == "-" else duration


def checked(kind: type | tuple[type, ...], convert: Callable[[Any], Any] = same) -> Callable[[Any], Any]:
    """Return a conversion that refuses values of other JSON types."""

    def decode(value: Any) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"a value of type {type(value).__name__}")
        return convert(value)

    return decode


#: The types without parts.
SCALARS: dict[Any, Described] = {
    str: ({"type": "string"}, checked(str)),
    int: ({"type": "integer"}, checked(int)),
    float: ({"type": "number"}, checked((int, float), float)),
    bool: ({"type": "boolean"}, checked(bool)),
    type(None): ({"type": "null"}, checked(type(None))),
    datetime: ({"type": "string", "format": "date-time"}, checked(str, parse_datetime)),
    date: ({"type": "string", "format": "date"}, checked(str, date.fromisoformat)),
    time: ({"type": "string", "format": "time"}, checked(str, time.fromisoformat)),
    timedelta: ({"type": "string", "format": "duration"}, checked(str, parse_duration)),
    UUID: ({"type": "string", "format": "uuid"}, checked(str, UUID)),
    Decimal: ({"type": "string"}, checked(str, Decimal)),
}
