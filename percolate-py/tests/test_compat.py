"""The interface of the package before this one, `percolate_rocks.compat`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from place import place

import percolate_rocks
from percolate_rocks.compat import Database

ARTICLES = json.dumps({
    "title": "Article",
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "category": {"type": "string"},
        "words": {"type": "integer"},
        "printed": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
    },
    "required": ["title"],
    "key_field": "title",
    "indexed_fields": ["category"],
    "embedding_fields": [],
    "embedding_provider": "default",
    "fully_qualified_name": "app.Article",
    "short_name": "articles",
    "version": "1.0.0",
    "category": "user",
})


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("P8_DB_PATH", str(place(tmp_path / "deep" / "db")))
    monkeypatch.setenv("P8_TENANT_ID", "acme")
    with Database() as database:
        database.register_schema("articles", ARTICLES)
        yield database


def test_the_environment_names_the_place_and_the_tenant(db: Database, tmp_path: Path) -> None:
    assert (db.database.path, db.database.tenant) == (place(tmp_path / "deep" / "db"), "acme")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "home/.p8/db"),
        ({"P8_HOME": "~/elsewhere"}, "home/elsewhere/db"),
        ({"P8_HOME": "~/elsewhere", "P8_DB_PATH": "~/own"}, "home/own"),
    ],
)
def test_the_default_place_is_that_of_the_old_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in ("P8_DB_PATH", "P8_HOME", "P8_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Database() as db:
        assert (db.database.path, db.database.tenant) == (tmp_path / expected, "default")
    with Database(tmp_path / "given", "t", namespace="n") as db:
        assert (db.database.path, db.database.tenant, db.database.namespace) == (tmp_path / "given", "t", "n")


def test_an_entity_is_written_by_key_and_read_without_system_fields(db: Database) -> None:
    first = {"title": "Percolation", "category": "physics", "printed": "1957-07-01T00:00:00Z"}
    id = db.insert("articles", first)
    assert str(uuid.UUID(id)) == id
    assert db.get(id) == db.lookup("articles", "Percolation")[0] == first
    assert db.insert("articles", {"title": "Percolation", "words": 9}) == id
    assert db.get(id) == {"title": "Percolation", "words": 9}
    assert db.insert_batch("articles", [{"title": "a"}, {"title": "b"}]) != [id, id]
    assert (db.lookup("articles", "none"), db.get(str(uuid.uuid4()))) == ([], None)
    assert db.lookup("a") == [{"title": "a"}]
    with pytest.raises(ValueError, match="is not an id"):
        db.get("Percolation")
    with pytest.raises(percolate_rocks.EntityError):
        db.insert("articles", {"category": "no title"})
    with pytest.raises(percolate_rocks.UnknownTableError):
        db.insert("nothing", {})


def test_nothing_of_a_batch_is_written_if_an_entity_is_refused(db: Database) -> None:
    with pytest.raises(percolate_rocks.EntityError):
        db.insert_batch("articles", [{"title": "a"}, {"category": "no title"}])
    assert db.query("SELECT title FROM articles") == []


def test_a_query_returns_the_data_as_json(db: Database) -> None:
    rows = [{"title": "a", "category": "x", "words": 1, "printed": "1957-07-01T00:00:00Z"}, {"title": "b", "words": 2}]
    db.insert_batch("articles", rows)
    found = db.query("SELECT * FROM articles WHERE category = 'x'")
    assert found == [rows[0]]
    assert json.loads(json.dumps(found)) == found
    assert db.query("SELECT title FROM articles ORDER BY words DESC LIMIT 1") == [{"title": "b"}]
    assert db.query("SELECT COUNT(*) AS count FROM articles") == [{"count": 2}]
    (row,) = db.query("SELECT _id, title FROM articles WHERE title = 'a'")
    assert db.get(row["_id"]) == rows[0]


def test_a_service_stores_its_sessions_and_messages_in_the_tables_that_exist(db: Database) -> None:
    session: dict[str, Any] = {
        "session_id": "s1",
        "tenant_id": "acme",
        "agent_uri": None,
        "message_count": 1,
        "metadata": {},
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }
    db.insert("sessions", session)
    db.insert("sessions", {**session, "message_count": 2})
    assert db.lookup("sessions", "s1") == [{**session, "message_count": 2}]
    db.insert("messages", {"message_id": "m1", "session_id": "s1", "role": "user", "content": "hello", "usage": None})
    assert db.query("SELECT content FROM messages WHERE session_id = 's1'") == [{"content": "hello"}]
    db.insert("feedback", {"feedback_id": "f1", "session_id": "s1", "score": 0.5, "metadata": {}})
    assert db.lookup("feedback", "f1")[0]["score"] == 0.5
    assert db.list_schemas() == ["articles", "documents", "feedback", "messages", "resources", "sessions"]


def test_parts_of_a_document_have_its_uri_and_are_found_by_meaning(db: Database) -> None:
    parts = [
        {"uri": "doc", "name": f"part {n}", "content": content, "chunk_ordinal": n}
        for n, content in enumerate(["water in porous rock", "a parser of dates"])
    ]
    ids = db.insert_batch("resources", parts)
    assert len(set(ids)) == 2
    changed = {**parts[1], "content": "a parser of times"}
    assert db.insert("resources", changed) == ids[1]
    assert sorted(part["chunk_ordinal"] for part in db.lookup("resources", "doc")) == [0, 1]
    assert len(db.lookup("doc")) == 2
    (entity, score), *_ = db.search(query="porous rock", schema="resources", top_k=1)
    assert entity == parts[0]
    assert 0 < score <= 1


def test_models_are_written_into_the_table_of_their_class(db: Database) -> None:
    pydantic = pytest.importorskip("pydantic")

    class Person(pydantic.BaseModel):  # type: ignore[name-defined, misc]
        model_config = pydantic.ConfigDict(json_schema_extra={"key_field": "email", "short_name": "people"})
        email: str
        name: str

    db.register_schema("Person", json.dumps(Person.model_json_schema()))
    (id,) = db.upsert([Person(email="a@example.com", name="A")])
    assert db.upsert([Person(email="a@example.com", name="B")]) == [id]
    assert db.get(id) == {"email": "a@example.com", "name": "B"}


@pytest.mark.parametrize(("properties", "key"), [(["name", "key"], "key"), (["name", "uri"], "uri"), (["x"], None)])
def test_a_schema_without_a_key_field_has_the_key_of_the_old_package(
    db: Database, properties: list[str], key: str | None
) -> None:
    db.register_schema("t", {"properties": {name: {"type": "string"} for name in properties}})
    assert db.get_schema("t").get("key_field") == key
    entity = {name: "v" for name in properties}
    assert (db.insert("t", entity) == db.insert("t", entity)) is (key is not None)


def test_a_database_is_opened_again_with_its_schemas(db: Database) -> None:
    id = db.insert("articles", {"title": "a"})
    db.close()
    with Database() as again:
        again.register_schema("articles", ARTICLES)
        assert again.get(id) == {"title": "a"}
    with Database(read_only=True) as reader:
        assert reader.get(id) == {"title": "a"}


@pytest.mark.parametrize("name", ["ask", "export", "ingest", "traverse"])
def test_a_method_that_is_gone_names_what_to_use(db: Database, name: str) -> None:
    with pytest.raises(AttributeError, match=f"has no `{name}`: "):
        getattr(db, name)
    assert not hasattr(db, name)
