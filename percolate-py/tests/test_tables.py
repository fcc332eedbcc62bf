"""Typed tables: schemas of models, instances in and out, and entities that do not fit."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NewType
from uuid import UUID

import pytest
from place import place

from percolate_rocks import (
    AsyncDatabase,
    AsyncTable,
    ConflictError,
    Database,
    EntityError,
    ExistsError,
    NoKeyError,
    NotIndexedError,
    QueryError,
    ReadOnlyError,
    SchemaError,
    Table,
)
from percolate_rocks._pytest_plugin import CapturedSpans

pydantic = pytest.importorskip("pydantic")


@dataclass
class Article:
    slug: str
    year: int | None = None
    body: str = ""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


Isbn = NewType("Isbn", str)


@dataclass
class Author:
    name: str
    friend: Author | None = None


@dataclass(frozen=True)
class Everything:
    """A field of each type that is described."""

    text: str
    number: int
    real: float
    truth: bool
    at: datetime
    day: date
    moment: time
    span: timedelta
    uuid: UUID
    price: Decimal
    colour: Colour
    kind: Literal["a", 1]
    isbn: Isbn
    author: Author
    authors: list[Author]
    pair: tuple[Decimal, ...]
    prices: dict[str, Decimal]
    anything: Any
    mixed: int | str
    several: Sequence[date] = ()
    nothing: Decimal | None = None
    plain: dict = field(default_factory=dict)  # type: ignore[type-arg]
    untyped: list = field(default_factory=list)  # type: ignore[type-arg]


EVERYTHING = Everything(
    text="é",
    number=2**63 - 1,
    real=3.0,
    truth=True,
    at=datetime(1957, 7, 1, 12, 30, tzinfo=timezone.utc),
    day=date(1957, 7, 1),
    moment=time(12, 30, 1),
    span=-timedelta(days=1, seconds=5, microseconds=20),
    uuid=UUID("67e55044-10b1-426f-9247-bb680e5fe0c8"),
    price=Decimal("1.10"),
    colour=Colour.BLUE,
    kind=1,
    isbn=Isbn("x"),
    author=Author("ada", Author("broadbent", Author("hammersley"))),
    authors=[Author("a"), Author("b")],
    pair=(Decimal("0.1"), Decimal("2")),
    prices={"here": Decimal("1E+2")},
    anything={"deep": [1, None]},
    mixed="text",
    several=[date(2024, 1, 1)],
    plain={"a": 1},
    untyped=[1, "a"],
)


def test_a_dataclass_comes_back_as_it_went_in(db: Database) -> None:
    table = db.table("everything", Everything, key_field="text", indexed_fields=["day", "price"])
    table.insert(EVERYTHING)
    assert table.get(key="é") == EVERYTHING
    assert table.find("day", date(1957, 7, 1)) == [EVERYTHING] == table.find("price", Decimal("1.10"))
    assert db.query("SELECT at, day, price, number FROM everything") == [
        {"at": EVERYTHING.at, "day": EVERYTHING.day, "price": "1.10", "number": 2**63 - 1}
    ]
    assert db.schema("everything") == table.schema
    assert table.schema["properties"]["author"] == {"$ref": "#/$defs/Author"}


def test_each_method_takes_and_returns_instances(db: Database) -> None:
    db.drop_table("articles")
    table = db.table("articles", Article, key_field="slug", indexed_fields=["year"], embedding_fields=["body"])
    assert repr(table) == "Table('articles', Article)"
    assert (table.name, table.model, table.mismatches) == ("articles", Article, None)
    one, two = Article("one", 1957, "liquids in porous stone"), Article("two", 1958, "graphs at random")
    id = table.insert(one)
    assert db.get("articles", id) == {**db.get("articles", key="one"), "slug": "one", "year": 1957}  # type: ignore[dict-item]
    with pytest.raises(ExistsError):
        table.insert(one)
    assert table.upsert(one) == id
    (other,) = table.insert_many([two])
    assert table.get(other) == two
    assert table.get(key="three") is None
    assert table.get_many(keys=["two", "three"]) == [two, None]
    assert table.find("year", ge=1958) == [two]
    assert table.where("year < $1", [1958]) == [one]
    assert table.where(order_by="year DESC", limit=1) == [two]
    assert table.where("true -- a comment", order_by="slug") == [one, two]
    assert sorted(table.scan(), key=lambda article: article.slug) == [one, two]
    assert table.count() == 2
    db.generate_embeddings("articles")
    assert [hit for hit, _ in table.search("stone", 1)] == [one]
    assert [hit for hit, _ in table.search("stone", where=lambda article: article.year == 1958)] == [two]
    assert [hit for hit, _ in table.search("stone", where="year = $1", params=[1958])] == [two]
    assert table.update(key="one", changes={"year": None}) == Article("one", None, one.body)
    assert table.delete(key="one") is True
    assert table.count() == 1


class Elsewhere:
    """An embedder whose vectors come from elsewhere."""

    name = "elsewhere"
    dimensions = 2

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise AssertionError("no text is embedded")


def test_instances_are_written_with_their_vectors(tmp_path: Path) -> None:
    with Database(place(tmp_path / "own"), embedder=Elsewhere()) as db:
        table = db.table("articles", Article, key_field="slug", embedding_fields=["body"])
        table.insert(Article("a"), vectors={"body": [1, 0]})
        table.upsert(Article("b"), vectors={"body": [0, 1]})
        table.insert_many([Article("c"), Article("d")], vectors=[{"body": [-1, 0]}, None])
        table.update(key="d", changes={"year": 1}, vectors={"body": [0, -1]})
        nearest = [db.search_vector("articles", vector, 1)[0][0]["slug"] for vector in ([1, 0], [0, 1], [-1, 0], [0, -1])]
        assert nearest == ["a", "b", "c", "d"]
        with pytest.raises(ValueError, match="Article has no field `text`"):
            table.insert(Article("e"), vectors={"text": [1, 0]})


def test_more_instances_than_a_page_are_read_in_order(db: Database) -> None:
    table = db.table("numbers", Article, key_field="slug")
    table.insert_many(Article(str(n), n) for n in range(2500))
    assert [article.year for article in table.where("year >= 10", order_by="year")] == list(range(10, 2500))


@dataclass
class Note:
    text: str
    id: str | None = None
    written: datetime | None = None
    changed: datetime | None = None


def test_fields_of_the_model_hold_the_system_fields(db: Database) -> None:
    table = db.table(
        "notes", Note, id_field="id", created_at_field="written", updated_at_field="changed"
    )
    assert list(table.schema["properties"]) == ["text"]
    id = table.insert(Note("a"))
    (note,) = table.scan()
    assert (note.id, note.text) == (id, "a")
    assert note.written is not None and note.written == note.changed and note.written.tzinfo is not None
    note.text = "b"
    assert table.upsert(note) == id
    assert [read.text for read in table.scan()] == ["b"]
    with pytest.raises(ConflictError):
        table.update(note.id, {"text": "c"}, if_unchanged_since=note.changed)
    with pytest.raises(NoKeyError):
        table.upsert(Note("new"))
    assert set(db.query("SELECT * FROM notes")[0]) == {"_id", "text", "_created_at", "_updated_at"}


class Model(pydantic.BaseModel):  # type: ignore[misc, name-defined]
    model_config = pydantic.ConfigDict(strict=True, extra="forbid", json_schema_extra={"key_field": "slug"})
    slug: str
    seen: datetime = pydantic.Field(alias="seenAt")
    price: Decimal = Decimal(1)
    tags: set[str] = set()
    id: UUID | None = None

    @pydantic.computed_field  # type: ignore[prop-decorator, untyped-decorator]
    @property
    def long(self) -> bool:
        return len(self.slug) > 5


def test_a_pydantic_model_comes_back_as_it_went_in(db: Database) -> None:
    table = db.table("models", Model, indexed_fields=["seen"], id_field="id")
    model = Model(slug="a", seenAt=datetime(1957, 7, 1, tzinfo=timezone.utc), price=Decimal("1.10"), tags={"b"})
    id = table.insert(model)
    read = table.get(key="a")
    assert read == model.model_copy(update={"id": UUID(id)})
    assert table.find("seen", model.seen) == [read] == table.where('"seenAt" IS NOT NULL')
    assert table.schema["indexed_fields"] == ["seenAt"]
    changed = table.update(key="a", changes={"seen": datetime(1958, 1, 1, tzinfo=timezone.utc)})
    assert changed.seen.year == 1958
    assert db.get("models", id)["seenAt"].startswith("1958")  # type: ignore[index]


def test_a_pydantic_dataclass_is_a_model(db: Database) -> None:
    @pydantic.dataclasses.dataclass
    class Point:
        name: str
        at: tuple[float, float]
        on: date = date(1957, 7, 1)

    table = db.table("points", Point, key_field="name", indexed_fields=["on"])
    point = Point("a", (1.0, 2.5))  # type: ignore[call-arg]
    table.insert(point)
    assert table.find("on", lt=date(1960, 1, 1)) == [point]
    assert table.get(key="a") == point


def test_a_schema_is_registered_again_if_the_model_has_changed(db: Database, tmp_path: Path) -> None:
    @dataclass
    class Old:
        slug: str
        year: str

    old = db.table("changing", Old, key_field="slug")
    old.insert(Old("a", "1957"))
    new = db.table("changing", Article, key_field="slug")
    assert new.mismatches is not None and new.mismatches["mismatched"] == 1
    with pytest.raises(EntityError, match=r"entity [-0-9a-f]{36} with the key .a. of `changing` does not fit Article: `year` does"):
        new.get(key="a")
    assert db.table("changing", Article, key_field="slug").mismatches is None
    with pytest.raises(SchemaError):
        db.table("changing", Article)
    db.close()
    with Database(place(tmp_path / "db"), read_only=True) as reader:
        assert reader.table("changing", Article, key_field="slug").count() == 1
        with pytest.raises(ReadOnlyError):
            reader.table("changing", Article, key_field="slug", indexed_fields=["year"])


def test_wrong_models_and_instances_are_refused(db: Database) -> None:
    @dataclass
    class WithSet:
        tags: set[str]

    @dataclass
    class WithUnion:
        when: date | datetime

    @dataclass
    class WithBytes:
        data: Literal[b"x"]

    @dataclass
    class WithLocal:
        local: Point  # type: ignore[name-defined]  # noqa: F821

    for model, message in [
        (WithLocal, "the types of WithLocal cannot be read: name 'Point' is not defined"),
        (dict, "must be a Pydantic model or a dataclass"),
        (Article("a"), "must be a Pydantic model or a dataclass"),
        (WithSet, r"`WithSet.tags` has the type set\[str\], which a table cannot describe"),
        (WithUnion, "`WithUnion.when` has a union of types"),
        (WithBytes, "`WithBytes.data` has the value"),
    ]:
        with pytest.raises(TypeError, match=message):
            db.table("wrong", model)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Article has no field `slgu`; its fields are `slug`, `year`, `body`"):
        db.table("wrong", Article, key_field="slgu")
    assert "wrong" not in db.tables()

    class Twice(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        seen: str = pydantic.Field(validation_alias="a", serialization_alias="b")

    with pytest.raises(TypeError, match="`seen` of Twice is written as 'b' and read as 'a'"):
        db.table("wrong", Twice)
    table = db.table("typed", Article, key_field="slug")
    with pytest.raises(TypeError, match="the table `typed` holds Article, not dict"):
        table.insert({"slug": "a"})  # type: ignore[arg-type]
    with pytest.raises(EntityError):
        table.insert(Article("a", "1957"))  # type: ignore[arg-type]
    with pytest.raises(NotIndexedError):
        table.find("year", 1)
    with pytest.raises(ValueError, match="limit must be 0 or more"):
        table.where(limit=-1)
    with pytest.raises(TypeError, match="limit must be an int, not str"):
        table.where(limit="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has no field `size`"):
        table.update(key="a", changes={"size": 1})
    db.upsert("typed", {"slug": "more", "extra": 1})
    assert table.get(key="more") == Article("more")


def test_a_call_of_a_table_is_the_call_of_its_database(db: Database, percolate_spans: CapturedSpans) -> None:
    table = db.table("typed", Article, key_field="slug")
    table.insert(Article("a", 1))
    percolate_spans.clear()
    with percolate_spans.tracer().start_as_current_span("request"):
        table.where("year = 1")
    tree = percolate_spans.tree()
    assert tree.splitlines()[:2] == ["request", '  SELECT typed']
    assert "multi_get typed" in tree
    query = percolate_spans.one("SELECT typed")
    assert query.attributes["db.query.text"] == "SELECT _id FROM typed WHERE (year = ?)"
    for condition in ["true) OR (true", "", "year = 1)"]:
        with pytest.raises(QueryError) as raised:
            table.where(condition)
        assert raised.value.error_type == "QuerySyntax"


async def test_the_asynchronous_table_has_the_methods_of_the_synchronous_one(tmp_path: Path) -> None:
    def public(thing: type) -> dict[str, Any]:
        return {name: value for name, value in vars(thing).items() if not name.startswith("_")}

    assert public(Table).keys() == public(AsyncTable).keys()
    for name, method in public(Table).items():
        if inspect.isfunction(method):
            ours = inspect.signature(getattr(AsyncTable, name)).parameters
            assert list(ours.values()) == list(inspect.signature(method).parameters.values()), name
    async with await AsyncDatabase.open(place(tmp_path / "async")) as db:
        table = await db.table("articles", Article, key_field="slug", indexed_fields=["year"], embedding_fields=["body"])
        assert repr(table) == "AsyncTable('articles', Article)"
        one, two = Article("one", 1, "stone"), Article("two", 2, "graph")
        id = await table.insert(one)
        await table.upsert(one)
        await table.insert_many([two])
        assert await table.get(id) == one
        assert await table.get_many(keys=["two", "three"]) == [two, None]
        assert await table.find("year", 2) == [two]
        assert await table.where("year > $1", [1]) == [two]
        assert await table.count() == 2
        assert {article.slug async for article in table.scan(page_size=1)} == {"one", "two"}
        await db.generate_embeddings("articles")
        assert [hit for hit, _ in await table.search("stone", 1)] == [one]
        assert len(await table.search_vector([1.0] * 384, 1)) == 1
        assert await table.update(id, {"year": 3}) == Article("one", 3, "stone")
        assert await table.update_where("year = $1", {"year": 4}, [3]) == 1
        assert await table.delete_where("year = 2") == 1
        assert await table.delete(id) is True


class Inner(pydantic.BaseModel):  # type: ignore[misc, name-defined]
    model_config = pydantic.ConfigDict(extra="forbid")
    text: str

    @pydantic.computed_field  # type: ignore[prop-decorator, untyped-decorator]
    @property
    def upper(self) -> str:
        return self.text.upper()


class Outer(pydantic.BaseModel):  # type: ignore[misc, name-defined]
    slug: str
    inner: Inner
    several: dict[str, list[Inner]] = {}
    raw: pydantic.Json[list[int]] = [1]

    @pydantic.computed_field  # type: ignore[prop-decorator, untyped-decorator]
    @property
    def size(self) -> int:
        return len(self.several)

    def model_post_init(self, context: Any) -> None:
        assert self.slug


@pydantic.dataclasses.dataclass
class Holder:
    slug: str
    inner: Inner


def test_computed_fields_are_not_stored_at_any_level(db: Database) -> None:
    table = db.table("outer", Outer, key_field="slug")
    outer = Outer(slug="a", inner=Inner(text="b"), several={"c": [Inner(text="d")]}, raw="[1, 2]")
    table.insert(outer)
    assert table.get(key="a") == outer
    assert db.get("outer", key="a")["inner"] == {"text": "b"}  # type: ignore[index]
    assert table.update(key="a", changes={"inner": Inner(text="e")}).inner == Inner(text="e")
    assert table.update(key="a", changes=outer.model_dump(exclude={"inner", "several"})).slug == "a"
    holders = db.table("holders", Holder, key_field="slug")
    holders.upsert(Holder("a", Inner(text="b")))
    assert holders.get(key="a") == Holder("a", Inner(text="b"))


class ByTime(pydantic.BaseModel):  # type: ignore[misc, name-defined]
    at: datetime = pydantic.Field(alias="takenAt")
    number: int = 0


class ByPrice(pydantic.BaseModel):  # type: ignore[misc, name-defined]
    price: Decimal
    number: int = 0


class ByWord(pydantic.BaseModel):  # type: ignore[misc, name-defined]
    word: str
    number: int = 0

    @pydantic.field_serializer("word")  # type: ignore[untyped-decorator]
    def lower(self, word: str) -> str:
        return word.lower()


@pydantic.dataclasses.dataclass(frozen=True)
class ByDay:
    day: date
    number: int = 0

    @pydantic.field_serializer("day")  # type: ignore[untyped-decorator]
    def compact(self, day: date) -> str:
        return f"on {day:%Y-%m-%d}"

    @pydantic.field_validator("day", mode="before")  # type: ignore[untyped-decorator]
    @classmethod
    def parse(cls, day: object) -> object:
        return day.removeprefix("on ") if isinstance(day, str) else day


class Whole(pydantic.BaseModel):  # type: ignore[misc, name-defined]
    at: datetime
    number: int = 0

    @pydantic.model_serializer(mode="wrap")  # type: ignore[untyped-decorator]
    def dump(self, handler: Any) -> Any:
        assert self.number is not None
        return handler(self)


@dataclass
class PlainPrice:
    price: Decimal
    number: int = 0


@dataclass
class PlainTime:
    at: datetime
    number: int = 0


MORNING = datetime(2020, 1, 1, 8, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("model", "field", "key"),
    [
        (ByTime, "at", MORNING),
        (ByPrice, "price", Decimal("1.5")),
        (ByPrice, "price", Decimal("1.50")),
        (ByWord, "word", "Stone"),
        (ByDay, "day", date(2020, 1, 1)),
        (Whole, "at", MORNING),
        (PlainPrice, "price", Decimal("1.5")),
        (PlainPrice, "price", Decimal("2")),
        (PlainTime, "at", MORNING),
    ],
)
async def test_a_key_is_stored_and_looked_up_in_the_same_form(
    db: Database, tmp_path: Path, model: Any, field: str, key: Any
) -> None:
    table = db.table("keyed", model, key_field=field)
    name = "takenAt" if model is ByTime else field
    table.insert(model(**{name: key, "number": 1}))
    assert table.get(key=key).number == 1
    assert [found and found.number for found in table.get_many(keys=[key])] == [1]
    assert table.update(key=key, changes={"number": 2}).number == 2
    assert table.delete(key=key) is True
    async with await AsyncDatabase.open(place(tmp_path / "async")) as other:
        same = await other.table("keyed", model, key_field=field)
        await same.insert(model(**{name: key, "number": 1}))
        assert (await same.get(key=key)).number == 1
        assert [found and found.number for found in await same.get_many(keys=[key])] == [1]
        assert (await same.update(key=key, changes={"number": 2})).number == 2
        assert await same.delete(key=key) is True


def test_an_update_drops_the_system_fields_as_an_insert_does(db: Database) -> None:
    table = db.table(
        "notes", Note, key_field="text", id_field="id", created_at_field="written", updated_at_field="changed"
    )
    id = table.insert(Note("a"))
    note = table.get(key="a")
    assert note is not None
    table.update(key="a", changes=asdict(note))
    table.update(id, asdict(note))
    assert set(db.get("notes", id) or ()) == {"_id", "text", "_created_at", "_updated_at"}
    with pytest.raises(ValueError, match="`id` is the id of the entity, which cannot change"):
        table.update(id, {"id": "67e55044-10b1-426f-9247-bb680e5fe0c8"})


def test_changes_have_the_fields_that_the_model_allows(db: Database) -> None:
    class Open(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        model_config = pydantic.ConfigDict(extra="allow")
        slug: str

    class Closed(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        model_config = pydantic.ConfigDict(extra="forbid")
        slug: str
        secret: str = pydantic.Field("", exclude=True)

    table = db.table("open", Open, key_field="slug")
    table.insert(Open(slug="a"))
    assert table.update(key="a", changes={"on": date(2020, 1, 1)}).on == "2020-01-01"
    closed = db.table("closed", Closed, key_field="slug")
    closed.insert(Closed(slug="a"))
    with pytest.raises(ValueError, match="Closed has no field `foo`"):
        closed.update(key="a", changes={"foo": 6})
    with pytest.raises(ValueError, match="`secret` of Closed is not stored: the model excludes it"):
        closed.update(key="a", changes={"secret": "b"})


def test_an_entity_that_does_not_fit_the_model_is_named(db: Database) -> None:
    class Strict(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        slug: str
        year: int

    db.register_schema("strict", {"key_field": "slug"})
    id = db.insert("strict", {"slug": "a"})
    table = db.table("strict", Strict, key_field="slug")
    message = f"the entity {id} with the key 'a' of `strict` does not fit Strict: .*year"
    reads = [
        lambda: table.get(key="a"),
        lambda: table.get_many(keys=["a"]),
        lambda: list(table.scan()),
        lambda: table.where(),
    ]
    for read in reads:
        with pytest.raises(EntityError, match=f"(?s){message}") as raised:
            read()
        assert isinstance(raised.value.__cause__, pydantic.ValidationError)
    assert db.table("strict", Strict, key_field="slug").mismatches is None


def test_a_bound_has_the_form_in_which_the_field_is_stored(db: Database) -> None:
    times = db.table("times", ByTime, indexed_fields=["at"])
    times.insert_many([ByTime(takenAt=MORNING), ByTime(takenAt=MORNING + timedelta(hours=1))])
    assert len(times.find("at", MORNING)) == 1 == len(times.find("at", gt=MORNING)) == len(times.find("takenAt", le=MORNING))


@pytest.mark.parametrize("model", [ByPrice, PlainPrice])
def test_decimals_that_are_stored_as_text_are_compared_by_a_query(db: Database, model: Any) -> None:
    table = db.table("prices", model, indexed_fields=["price", "number"])
    table.insert_many([model(price=Decimal(price), number=price) for price in (9, 10, 100)])
    assert [found.number for found in table.find("price", Decimal(10))] == [10]
    for bounds in [{"gt": Decimal(9)}, {"ge": 9}, {"lt": "9"}]:
        with pytest.raises(ValueError, match="the decimals of `price` are stored as text") as raised:
            table.find("price", **bounds)
    condition = str(raised.value).split("where('")[1].split("',")[0]
    found = table.where(condition, [Decimal(9)], order_by='CAST("price" AS DECIMAL(38, 10))')
    assert [one.number for one in found] == [10, 100]
    assert [one.number for one in table.find("number", gt=9)] == [10, 100]


def test_a_root_model_is_refused(db: Database) -> None:
    class Numbers(pydantic.RootModel[list[int]]):  # type: ignore[misc, name-defined]
        pass

    with pytest.raises(TypeError, match="Numbers is a RootModel, and an entity needs fields"):
        db.table("numbers", Numbers)


def test_entities_that_match_a_condition_are_changed_and_deleted(db: Database) -> None:
    table = db.table("models", Model, key_field="slug", id_field="id")
    table.insert_many([Model(slug=str(n), seenAt=MORNING + timedelta(days=n)) for n in range(3)])
    noon = MORNING + timedelta(hours=4)
    assert table.update_where("slug < $1", {"seen": noon, "tags": {"a"}, "id": None}, ["2"]) == 2
    assert table.where("\"seenAt\" = $1", [noon], order_by="slug") == table.get_many(keys=["0", "1"])
    with pytest.raises(ValueError, match="Model has no field `foo`"):
        table.update_where("true", {"foo": 1})
    assert table.delete_where("slug = $1", ["0"]) == 1
    assert table.count() == 2


def test_a_search_by_vector_returns_instances(tmp_path: Path) -> None:
    with Database(place(tmp_path / "vectors"), embedder=Elsewhere()) as db:
        table = db.table("articles", Article, key_field="slug", embedding_fields=["body"])
        table.insert(Article("a", 1), vectors={"body": [1, 0]})
        table.insert(Article("b", 2), vectors={"body": [0, 1]})
        assert [hit.slug for hit, _ in table.search_vector([1, 0.1])] == ["a", "b"]
        assert [hit.slug for hit, _ in table.search_vector([1, 0.1], where=lambda article: article.year == 2)] == ["b"]
        assert [hit.slug for hit, _ in table.search_vector([1, 0.1], 1, where="year > $1", params=[1])] == ["b"]
