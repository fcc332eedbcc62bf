"""The database from Python: values, errors and closing."""

from __future__ import annotations

import datetime as dt
import enum
import pickle
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from place import place
from test_telemetry import run

import percolate_rocks
from percolate_rocks import AsyncDatabase, Database
from percolate_rocks._pytest_plugin import CapturedSpans

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=20,
)


def test_an_entity_comes_back_with_its_id_and_times(db: Database) -> None:
    id = db.insert("articles", {"slug": "a", "year": 1957})
    entity = db.get("articles", id)
    assert entity is not None
    assert (entity["_id"], entity["slug"], entity["year"]) == (id, "a", 1957)
    assert entity["_created_at"].endswith("Z")
    assert db.get("articles", uuid.UUID(id)) == entity
    assert db.lookup("articles", "a") == entity
    assert db.get("articles", str(uuid.uuid4())) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(value=JSON)
def test_any_json_value_comes_back_as_it_went_in(db: Database, value: object) -> None:
    id = db.upsert("articles", {"slug": "any", "value": value})
    entity = db.get("articles", id)
    assert entity is not None
    assert entity["value"] == value
    assert type(entity["value"]) is type(value)


def test_mappings_and_tuples_are_accepted(db: Database) -> None:
    db.insert("articles", MappingProxyType({"slug": "m", "tags": ("a", "b"), "more": OrderedDict(x=1)}))
    entity = db.lookup("articles", "m")
    assert entity is not None
    assert (entity["tags"], entity["more"]) == (["a", "b"], {"x": 1})


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ({"deep": [1, {2}]}, TypeError, "`value.deep.1` is a set"),
        (float("nan"), ValueError, "`value` is not a finite number"),
        (2**64, ValueError, "`value` is an int that does not fit into 64 bits"),
        ({1: 2}, TypeError, "`value` has a key that is a int"),
        (b"bytes", TypeError, "`value` is a bytes"),
        ("\ud800", ValueError, "not valid Unicode"),
    ],
)
def test_values_that_json_cannot_hold_are_refused_with_their_path(
    db: Database, value: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        db.insert("articles", {"slug": "x", "value": value})


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


@dataclass
class Author:
    name: str
    born: dt.date
    colours: list[Colour] = field(default_factory=list)


ISO_FORMS = [
    (dt.datetime(2026, 11, 28, 1, 2, 3, tzinfo=dt.timezone.utc), "2026-11-28T01:02:03+00:00"),
    (dt.date(2026, 11, 28), "2026-11-28"),
    (dt.time(1, 2, 3, 4), "01:02:03.000004"),
    (dt.timedelta(), "PT0S"),
    (dt.timedelta(days=400), "P400D"),
    (dt.timedelta(days=1, hours=2, minutes=3, seconds=4.5), "P1DT2H3M4.5S"),
    (-dt.timedelta(hours=25, microseconds=1), "-P1DT1H0.000001S"),
    (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    (Colour.RED, "red"),
    (Size.SMALL, 1),
    (Decimal("12"), 12),
    (Decimal("1E2"), 100),
    (Decimal("1.50"), 1.5),
    (Author("n", dt.date(1950, 1, 2), [Colour.RED]), {"name": "n", "born": "1950-01-02", "colours": ["red"]}),
]


@pytest.mark.parametrize(("value", "stored"), ISO_FORMS)
def test_types_with_one_obvious_json_form_are_stored_in_it(db: Database, value: object, stored: object) -> None:
    db.insert_many("articles", [{"slug": "a", "value": {"deep": [value]}}])
    entity = db.get("articles", key="a")
    assert entity is not None
    assert entity["value"] == {"deep": [stored]}
    assert type(entity["value"]["deep"][0]) is type(stored)
    db.register_schema("found", {"indexed_fields": ["value"]})
    db.insert("found", {"value": value})
    if not isinstance(stored, dict):
        assert [row["value"] for row in db.find("found", "value", value)] == [stored]  # type: ignore[arg-type]
        db.register_schema("keyed", {"properties": {"k": {"type": ["string", "number"]}}, "key_field": "k"})
        if not isinstance(stored, float):
            db.insert("keyed", {"k": value})
            assert db.get("keyed", key=value) == db.get("keyed", key=stored)  # type: ignore[arg-type]
        assert db.query("SELECT $1 AS value", [value]) == [{"value": stored}]  # type: ignore[list-item]


def test_a_decimal_is_text_where_the_schema_allows_only_text(db: Database) -> None:
    price = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    items = {"type": "array", "items": {"type": "object", "properties": {"price": price}}}
    db.register_schema("orders", {"properties": {"items": items, "tax": {"type": "number"}}})
    id = db.insert("orders", {"items": [{"price": Decimal("1.50")}], "tax": Decimal("0.19")})
    order = db.update("orders", id, {"more": Decimal("2")})
    assert (order["items"], order["tax"], order["more"]) == ([{"price": "1.50"}], 0.19, 2)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1E400", "1E999999"])
def test_a_decimal_that_json_cannot_hold_is_refused(db: Database, value: str) -> None:
    with pytest.raises(ValueError, match="`value` is"):
        db.insert("articles", {"slug": "a", "value": Decimal(value)})


def test_a_pydantic_model_is_stored_by_its_aliases(db: Database) -> None:
    pydantic = pytest.importorskip("pydantic")

    class Article(pydantic.BaseModel):  # type: ignore[name-defined, misc]
        slug: str
        seen: dt.datetime = pydantic.Field(alias="seenAt")
        took: dt.timedelta
        price: Decimal

    db.register_schema("models", {**Article.model_json_schema(mode="serialization"), "key_field": "slug"})
    article = Article(slug="a", seenAt="2026-11-28T01:02:03Z", took="PT1H", price="1.50")
    db.insert("models", article)
    row = db.get("models", key="a")
    assert row is not None
    assert (row["seenAt"], row["took"], row["price"]) == ("2026-11-28T01:02:03Z", "PT1H", "1.50")
    assert Article.model_validate(row) == article


def test_values_of_numpy_are_stored_as_numbers_and_lists(db: Database) -> None:
    np = pytest.importorskip("numpy")
    values = {
        "int": (np.int64(7), 7),
        "uint": (np.uint64(2**64 - 1), 2**64 - 1),
        "float": (np.float32(0.5), 0.5),
        "bool": (np.bool_(True), True),
        "text": (np.str_("x"), "x"),
        "array": (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        "time": (np.datetime64("2026-11-28T01:02:03"), "2026-11-28T01:02:03"),
        "times": (np.array(["2026-11-28"], dtype="datetime64[D]"), ["2026-11-28"]),
    }
    db.insert("articles", {"slug": "a", **{name: value for name, (value, _) in values.items()}})
    row = db.get("articles", key="a")
    assert row is not None
    for name, (_, stored) in values.items():
        assert row[name] == stored
        assert type(row[name]) is type(stored)
    for refused in (np.array([1.0, np.nan]), np.complex64(1), np.datetime64("NaT", "s"), np.longdouble(1)):
        with pytest.raises((TypeError, ValueError)):
            db.insert("articles", {"slug": "b", "value": refused})


def test_none_is_stored_where_the_schema_allows_null(db: Database) -> None:
    year = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    db.register_schema("t", {"properties": {"year": year, "note": {"type": "string"}}, "required": ["year"]})
    id = db.insert("t", {"year": 1, "note": "x"})
    row = db.update("t", id, {"year": None, "note": None})
    assert row["year"] is None
    assert "note" not in row


def test_a_value_that_contains_itself_is_refused(db: Database) -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="nested deeper"):
        db.insert("articles", {"slug": "x", "loop": loop})
    table: dict[str, object] = {}
    table["properties"] = table
    with pytest.raises(ValueError, match="nested deeper"):
        db.register_schema("loop", table)


def test_a_value_is_refused_beyond_100_levels_and_read_up_to_them(db: Database) -> None:
    def nested(levels: int) -> object:
        value: object = 1
        for _ in range(levels):
            value = [value]
        return value

    db.insert("articles", {"slug": "x", "deep": nested(99)})
    entity = db.lookup("articles", "x")
    assert entity is not None and entity["deep"] == nested(99)
    with pytest.raises(ValueError, match=r"`deep\.0\.0.*…` is nested deeper than 100 levels"):
        db.insert("articles", {"slug": "y", "deep": nested(100)})
    assert db.count("articles") == 1


def test_a_handle_that_skips_malformed_entities_reads_the_others(db: Database) -> None:
    db.insert("articles", {"slug": "x"})
    skipping = db.skip_malformed()
    assert [entity["slug"] for entity in skipping.scan("articles")] == ["x"]
    assert (skipping.tenant, skipping.count("articles")) == (db.tenant, 1)
    assert db.unusable_tables() == {}
    skipping.close()


def test_find_takes_a_value_or_bounds(db: Database) -> None:
    db.insert_many("articles", [{"slug": str(year), "year": year} for year in range(1950, 1960)])
    db.insert("articles", {"slug": "none", "year": None})

    def years(*args: object, **kwargs: object) -> list[object]:
        return [entity["year"] for entity in db.find("articles", "year", *args, **kwargs)]

    assert years(1955) == [1955]
    assert years(ge=1957) == [1957, 1958, 1959]
    assert years(gt=1951, lt=1954) == [1952, 1953]
    assert years(None) == [None]
    for wrong in ({}, {"ge": 1, "gt": 2}):
        with pytest.raises(TypeError, match="pass"):
            years(**wrong)
    with pytest.raises(TypeError, match="not both"):
        years(1955, ge=1)


def test_a_scan_reads_page_by_page_and_to_the_end(db: Database) -> None:
    ids = db.insert_many("articles", [{"slug": f"{n:03}"} for n in range(25)])
    entities = db.scan("articles", page_size=10)
    assert iter(entities) is entities
    assert sorted(entity["_id"] for entity in entities) == sorted(ids)
    assert list(entities) == []
    assert db.count("articles") == 25


def test_update_changes_and_removes_fields(db: Database) -> None:
    id = db.insert("articles", {"slug": "a", "year": 1957, "note": "x"})
    entity = db.update("articles", id, {"year": 1958, "note": None})
    assert entity["year"] == 1958
    assert "note" not in entity
    assert db.get("articles", id) == entity


def test_a_row_that_was_read_is_written_back(db: Database) -> None:
    id = db.insert("articles", {"slug": "a", "n": 1})
    row = db.lookup("articles", "a")
    assert row is not None
    row["n"] = 2
    assert db.upsert("articles", row) == id
    changed = db.update("articles", id, row)
    assert changed == {**row, "_updated_at": changed["_updated_at"]}
    assert changed["_updated_at"] > row["_updated_at"]
    row["slug"] = "b"
    with pytest.raises(percolate_rocks.EntityError, match="Remove `_id`"):
        db.upsert("articles", row)
    assert db.count("articles") == 1
    db.register_schema("notes", {})
    note = {"_id": str(uuid.uuid4()), "id": 7, "updated_at": "x"}
    assert db.insert("notes", note) == db.upsert("notes", note) == note["_id"]
    with pytest.raises(percolate_rocks.NoKeyError):
        db.upsert("notes", {"id": 7})
    stored = db.get("notes", note["_id"])
    assert stored is not None
    assert note.items() <= stored.items()
    assert db.count("notes") == 1


def test_a_decimal_key_names_the_entity_that_it_was_stored_in(db: Database) -> None:
    db.register_schema("prices", {"properties": {"price": {"type": "string"}}, "key_field": "price"})
    for price in [Decimal("1.5"), Decimal("1.50"), Decimal("2")]:
        id = db.insert("prices", {"price": price})
        assert [found and found["_id"] for found in db.get_many("prices", keys=[price])] == [id]
        assert db.delete("prices", key=price) is True
    with pytest.raises(TypeError, match="a key must be a str or an int, not float"):
        db.get("prices", key=1.5)  # type: ignore[arg-type]


def test_an_entity_is_named_by_id_or_by_key(db: Database) -> None:
    id = db.insert("articles", {"slug": "1"})
    assert db.update("articles", key=1, changes={"n": 2}) == db.get("articles", id) == db.get("articles", key="1")
    assert db.get_many("articles", keys=["1", "2"]) == [db.get("articles", id=id), None]
    for name in (db.get, db.delete, db.purge, db.update):
        with pytest.raises(TypeError, match="pass an id, or a key"):
            name("articles")
        with pytest.raises(TypeError, match="not both"):
            name("articles", id, key="1")  # type: ignore[operator]
    with pytest.raises(TypeError, match="pass ids, or keys"):
        db.get_many("articles")
    with pytest.raises(TypeError, match="pass the changes"):
        db.update("articles", id)
    with pytest.raises(percolate_rocks.NotFoundError, match='with the key "2"'):
        db.update("articles", key="2", changes={})
    assert db.delete("articles", key="1") is True
    assert db.delete("articles", key="1") is False
    assert db.purge("articles", key="1") is True
    db.register_schema("notes", {})
    with pytest.raises(percolate_rocks.NoKeyError, match="no `key_field`"):
        db.get("notes", key="1")


def test_an_error_of_a_batch_names_the_entity(db: Database) -> None:
    db.insert("articles", {"slug": "taken"})
    first = {"slug": "a"}
    refused = [
        ({"slug": "taken"}, percolate_rocks.ExistsError, 'index 1, with the key "taken": cannot insert'),
        ({"slug": "a"}, percolate_rocks.EntityError, 'index 1, with the key "a": .* the entity at index 0'),
        ({"no": "key"}, percolate_rocks.EntityError, "index 1: the key field"),
        ({"slug": "b", "tags": [{1}]}, TypeError, "in the value at index 1, `tags.0` is a set"),
        ({1}, TypeError, "the value at index 1 is a set"),
    ]
    for data, error, message in refused:
        with pytest.raises(error, match=message) as raised:
            db.insert_many("articles", [first, data])  # type: ignore[list-item]
        assert type(raised.value) is error
    assert db.count("articles") == 1


def test_a_schema_with_a_reserved_name_is_refused(db: Database) -> None:
    with pytest.raises(percolate_rocks.SchemaError, match="`_id`, which is reserved"):
        db.register_schema("notes", {"properties": {"_id": {"type": "string"}}})


def test_deleted_is_not_found_and_purged_is_gone(db: Database) -> None:
    id = db.insert("articles", {"slug": "a"})
    assert db.delete("articles", id) is True
    assert db.delete("articles", id) is False
    assert db.get_many("articles", [id]) == [None]
    assert db.purge("articles", id) is True
    assert db.purge("articles", id) is False


def test_tenants_see_their_own(db: Database) -> None:
    other = db.for_tenant("other")
    assert (db.tenant, other.tenant) == ("default", "other")
    db.store_resource("readme", b"\x00\xff")
    assert db.load_resource("readme") == b"\x00\xff"
    assert other.load_resource("readme") is None
    db.delete_resource("readme")
    assert db.load_resource("readme") is None
    other.close()
    assert db.tables() == ["articles"]


def test_indexes_are_verified_and_rebuilt_with_progress(db: Database) -> None:
    db.insert_many("articles", [{"slug": str(n), "year": n} for n in range(5)])
    progress: list[int] = []
    report = db.rebuild_indexes(on_progress=progress.append)
    assert report["entities"] > 0
    assert progress
    assert max(progress) >= 5
    assert db.verify_indexes() == {"entities": 5, "missing": 0, "stale": 0, "failed": 0, "unreadable": []}


def test_an_exception_in_on_progress_is_raised_with_its_traceback(db: Database) -> None:
    db.insert("articles", {"slug": "a"})

    def fail(done: int) -> None:
        raise LookupError("from Python")

    with pytest.raises(LookupError, match="from Python") as caught:
        db.rebuild_indexes(on_progress=fail)
    assert "fail" in [entry.name for entry in caught.traceback]


def test_an_exception_in_on_progress_ends_the_rebuild(db: Database, percolate_spans: CapturedSpans) -> None:
    db.insert_many("articles", [{"slug": str(n)} for n in range(600)])
    progress: list[int] = []

    def stop(done: int) -> None:
        progress.append(done)
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        db.rebuild_indexes(on_progress=stop)
    assert progress == [512]
    (job,) = percolate_spans.finished("index.rebuild all")
    assert job.attributes is not None
    assert (job.attributes["job.status"], "error.type" in job.attributes) == ("cancelled", False)
    assert db.rebuild_indexes()["entities"] > 600


def test_each_kind_of_error_has_its_exception_class(db: Database, tmp_path: Path) -> None:
    with pytest.raises(percolate_rocks.UnknownTableError, match="register_schema") as unknown:
        db.insert("nothing", {})
    assert (unknown.value.error_type, unknown.value.status_code) == ("UnknownTable", None)
    db.insert("articles", {"slug": "a"})
    with pytest.raises(percolate_rocks.ExistsError):
        db.insert("articles", {"slug": "a"})
    with pytest.raises(percolate_rocks.EntityError):
        db.insert("articles", {"no": "key"})
    with pytest.raises(percolate_rocks.NotFoundError):
        db.update("articles", str(uuid.uuid4()), {})
    with pytest.raises(percolate_rocks.NotIndexedError):
        db.find("articles", "slug2", 1)
    with pytest.raises(percolate_rocks.MissingError):
        Database(place(tmp_path / "none"), create_if_missing=False)
    with pytest.raises(percolate_rocks.OpenError, match="other files: `db`"):
        Database(place(tmp_path))


@pytest.mark.rocksdb("SlateDB has no lock, and a directory of objects may have the name of a file")
def test_a_directory_that_cannot_be_opened_is_named_with_the_reason(db: Database, tmp_path: Path) -> None:
    with pytest.raises(percolate_rocks.LockedError) as locked:
        Database(tmp_path / "db")
    assert isinstance(locked.value.__cause__, percolate_rocks.PercolateError)
    assert isinstance(locked.value, percolate_rocks.OpenError)
    (tmp_path / "file").write_text("")
    with pytest.raises(percolate_rocks.OpenError, match="it is a file"):
        Database(tmp_path / "file")


def test_every_error_has_a_type_and_a_status() -> None:
    kinds = [kind for kind in vars(percolate_rocks).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) >= 20
    for kind in kinds:
        assert (kind("x").error_type, kind("x").status_code) == (kind.__name__.removesuffix("Error"), None)


def test_a_database_without_a_path_is_refused() -> None:
    with pytest.raises(ValueError, match="pass a directory"):
        Database("")


@pytest.mark.parametrize("limit", ["cache_size", "memory_table_limit", "query_memory_limit"])
def test_a_size_outside_of_its_range_is_refused_with_the_range(tmp_path: Path, limit: str) -> None:
    with pytest.raises(ValueError, match=r"a size must be a number of bytes from 0 to \d+, not -1"):
        Database(place(tmp_path / "db"), **{limit: -1})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="integer"):
        Database(place(tmp_path / "db"), **{limit: "1 GiB"})  # type: ignore[arg-type]
    assert not (tmp_path / "db").exists()


def test_an_async_database_of_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"await AsyncDatabase\.open\(path\)"):
        AsyncDatabase(tmp_path / "db")  # type: ignore[arg-type]


def test_errors_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(percolate_rocks.ExistsError("x")))
    assert type(error) is percolate_rocks.ExistsError


def test_an_id_is_text_or_a_uuid(db: Database) -> None:
    with pytest.raises(ValueError, match="`x` is not an id"):
        db.get("articles", "x")
    with pytest.raises(TypeError, match="not int"):
        db.get("articles", 5)  # type: ignore[arg-type]


def test_a_closed_database_raises_and_can_be_opened_again(tmp_path: Path) -> None:
    db = Database(place(tmp_path / "db"))
    db.register_schema("articles", {})
    id = db.insert("articles", {"x": 1})
    db.close()
    db.close()
    assert db.closed
    assert "closed" in repr(db)
    with pytest.raises(percolate_rocks.ClosedError, match="open it again"):
        db.get("articles", id)
    with Database(place(tmp_path / "db"), read_only=True) as again:
        assert again.get("articles", id) is not None
        with pytest.raises(percolate_rocks.ReadOnlyError):
            again.insert("articles", {})


def test_the_default_database_serves_module_functions(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERCOLATE_DATABASE", raising=False)
    percolate_rocks.set_default_database(None)
    with pytest.raises(percolate_rocks.MissingError, match="set_default_database"):
        percolate_rocks.store_resource_with_trace("t", "r", b"x", None)
    percolate_rocks.set_default_database(db)
    try:
        percolate_rocks.store_resource_with_trace("t", "r", b"x", None)
    finally:
        percolate_rocks.set_default_database(None)
    assert db.for_tenant("t").load_resource("r") == b"x"


def test_a_default_that_is_set_while_another_one_opens_is_used_by_all(tmp_path: Path) -> None:
    # The database that was opened in vain is closed, which releases the interpreter.
    script = """
    import sys
    import threading
    import percolate_rocks as p

    chosen = p.Database(sys.argv[1])
    for attempt in range(20):
        p.set_default_database(None)
        opening = threading.Thread(target=p.store_resource_with_trace, args=("t", "first", b"x", None))
        opening.start()
        p.set_default_database(chosen)
        while opening.is_alive():
            p.store_resource_with_trace("t", "second", b"y", None)
    tenant = chosen.for_tenant("t")
    print(tenant.load_resource("first"), tenant.load_resource("second"))
    """
    assert run(script, place(tmp_path / "chosen"), PERCOLATE_DATABASE=str(place(tmp_path / "opened"))) == "b'x' b'y'\n"


@pytest.mark.rocksdb("SlateDB makes no checkpoints and compacts by itself")
def test_a_checkpoint_is_a_database(db: Database, tmp_path: Path) -> None:
    db.insert("articles", {"slug": "a"})
    db.flush()
    db.compact()
    db.checkpoint(tmp_path / "copy")
    with Database(place(tmp_path / "copy")) as copy:
        assert copy.count("articles") == 1


def test_a_read_only_handle_is_refreshed_in_place(tmp_path: Path) -> None:
    with Database(place(tmp_path / "db"), sync=True) as db:
        db.register_schema("t", {"properties": {"n": {"type": "integer"}}, "indexed_fields": ["n"]})
        db.insert("t", {"n": 1})
        with Database(place(tmp_path / "db"), read_only=True) as reader:
            db.insert("t", {"n": 2})
            db.register_schema("later", {})
            assert (reader.count("t"), reader.tables()) == (1, ["t"])
            reader.refresh()
            assert (reader.count("t"), reader.tables()) == (2, ["later", "t"])
            assert reader.query("SELECT sum(n) AS s FROM t") == [{"s": 3}]
            db.refresh()
            assert db.count("t") == 2
        with pytest.raises(percolate_rocks.ClosedError):
            reader.refresh()
