"""Writes of several entities: batches, conditions, dropped tables, and writes after a read."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime
from pathlib import Path

import pytest
from place import place

from percolate_rocks import (
    AsyncDatabase,
    ClosedError,
    ConflictError,
    Database,
    EntityError,
    ExistsError,
    NotFoundError,
    QueryError,
    UnknownTableError,
)
from percolate_rocks._pytest_plugin import CapturedSpans


@pytest.fixture
def library(db: Database) -> Database:
    fields = {"slug": {"type": "string"}, "year": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}}
    db.register_schema("articles", {"properties": fields, "key_field": "slug", "indexed_fields": ["year"]})
    db.register_schema("authors", {"key_field": "name"})
    db.insert_many("articles", [{"slug": f"article {n}", "year": 1950 + n} for n in range(20)])
    return db


def test_a_batch_commits_when_its_block_ends(library: Database) -> None:
    with library.batch() as batch:
        id = batch.insert("articles", {"slug": "new", "year": 2000})
        batch.upsert("authors", {"name": "ada"})
        batch.update("articles", changes={"year": 2001}, key="new")
        batch.delete("articles", key="article 0")
        assert len(batch) == 4
        assert library.lookup("articles", "new") is None
    entity = library.get("articles", id)
    assert entity is not None and entity["year"] == 2001
    assert library.lookup("articles", "article 0") is None
    assert library.count("authors") == 1
    assert len(batch) == 0


def test_an_exception_discards_a_batch(library: Database) -> None:
    with pytest.raises(ZeroDivisionError), library.batch() as batch:
        batch.insert("authors", {"name": "ada"})
        raise ZeroDivisionError
    assert (len(batch), library.count("authors")) == (0, 0)


def test_a_batch_writes_all_or_nothing(library: Database) -> None:
    batch = library.batch()
    batch.insert("authors", {"name": "ada"})
    batch.insert("articles", {"slug": "article 1"})
    with pytest.raises(ExistsError, match="index 1, with the key \"article 1\""):
        batch.commit()
    assert library.count("authors") == 0
    with pytest.raises(EntityError):
        batch.insert("articles", {"slug": 5})
    with pytest.raises(UnknownTableError):
        batch.insert("nowhere", {})
    assert batch.commit() == 0


def test_a_batch_does_not_keep_its_database_open(tmp_path: Path) -> None:
    db = Database(place(tmp_path / "db"))
    db.register_schema("authors", {"key_field": "name"})
    batch = db.batch()
    batch.insert("authors", {"name": "ada"})
    db.close()
    with pytest.raises(ClosedError):
        batch.commit()
    with pytest.raises(ClosedError):
        db.batch()
    Database(place(tmp_path / "db")).close()


def test_of_changes_of_what_was_read_one_wins(library: Database) -> None:
    library.insert("authors", {"name": "ada", "count": 0})

    def add() -> None:
        for _ in range(20):
            while True:
                entity = library.lookup("authors", "ada")
                assert entity is not None
                changes = {"count": entity["count"] + 1}
                try:
                    library.update("authors", changes=changes, key="ada", if_unchanged_since=entity["_updated_at"])
                except ConflictError as error:
                    assert error.error_type == "Changed"
                else:
                    break

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entity = library.lookup("authors", "ada")
    assert entity is not None and entity["count"] == 80


def test_a_deletion_depends_on_what_was_read(library: Database) -> None:
    library.insert("authors", {"name": "ada"})
    seen = library.get("authors", key="ada")
    assert seen is not None
    later = library.update("authors", changes={"born": 1815}, key="ada")
    with pytest.raises(ConflictError, match="Read it again"):
        library.delete("authors", key="ada", if_unchanged_since=seen["_updated_at"])
    batch = library.batch()
    batch.delete("authors", key="ada", if_unchanged_since=seen["_updated_at"])
    with pytest.raises(ConflictError):
        batch.commit()
    # SQL returns the time as a datetime.
    (row,) = library.query("SELECT _updated_at FROM authors")
    assert isinstance(row["_updated_at"], datetime)
    assert library.delete("authors", key="ada", if_unchanged_since=row["_updated_at"])
    with pytest.raises(NotFoundError):
        library.delete("authors", key="ada", if_unchanged_since=later["_updated_at"])
    with pytest.raises(ValueError, match="if_unchanged_since"):
        library.delete("authors", key="ada", if_unchanged_since="yesterday")


def test_writes_by_condition(library: Database, percolate_spans: CapturedSpans) -> None:
    assert library.update_where("articles", "year < $1", {"tags": ["old"]}, [1955]) == 5
    assert library.delete_where("articles", "slug = 'article 3' OR year >= $1", [1968]) == 3
    assert library.count("articles") == 17
    assert library.query("SELECT count(*) AS n FROM articles WHERE tags[1] = 'old'") == [{"n": 4}]
    with pytest.raises(QueryError):
        library.delete_where("articles", "")
    with pytest.raises(EntityError):
        library.update_where("articles", "true", {"year": "x"})
    with pytest.raises(TypeError):
        library.delete_where("articles")  # type: ignore[call-arg]
    update, refused = percolate_spans.finished("update_where articles")
    assert update.attributes is not None
    assert update.attributes["db.response.affected_rows"] == 5
    assert refused.attributes is not None
    assert refused.attributes["error.type"] == "EntityInvalid"
    exported = "".join(span.to_json() for span in percolate_spans.finished())
    assert "article 3" not in exported and "1955" not in exported


def test_a_dropped_table_is_gone(library: Database) -> None:
    library.drop_table("articles")
    assert library.tables() == ["authors"]
    with pytest.raises(UnknownTableError):
        library.drop_table("articles")
    library.register_schema("articles", {"key_field": "slug"})
    assert library.count("articles") == 0


def test_a_batch_of_a_closed_database_is_empty_after_the_commit(tmp_path: Path) -> None:
    db = Database(place(tmp_path / "db"))
    db.register_schema("articles", {"key_field": "slug"})
    batch = db.batch()
    batch.insert("articles", {"slug": "a"})
    db.close()
    with pytest.raises(ClosedError):
        batch.commit()
    assert len(batch) == 0


def test_a_schema_change_reports_what_does_not_match(library: Database) -> None:
    schema = library.schema("articles")
    assert library.register_schema("articles", schema) is None
    schema["properties"]["year"] = {"type": "integer", "minimum": 1960}
    report = library.register_schema("articles", schema)
    assert report is not None
    assert (report["checked"], report["mismatched"], len(report["examples"])) == (20, 10, 10)
    first = report["examples"][0]
    entity = library.get("articles", first["_id"])
    assert entity is not None and entity["year"] < 1960
    assert first["key"] == entity["slug"] and "/year" in first["reason"]


def test_asyncio_has_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with await AsyncDatabase.open(place(tmp_path / "db")) as db:
            await db.register_schema("articles", {"properties": {"slug": {"type": "string"}, "year": {"type": "integer"}, "new": {"type": "boolean"}}, "key_field": "slug"})
            async with db.batch() as batch:
                for year in range(10):
                    batch.insert("articles", {"slug": str(year), "year": year})
                assert len(batch) == 10
            with pytest.raises(ZeroDivisionError):
                async with db.batch() as batch:
                    batch.insert("articles", {"slug": "x"})
                    raise ZeroDivisionError
            entity = await db.lookup("articles", "1")
            assert entity is not None
            await db.update("articles", changes={"year": 11}, key="1", if_unchanged_since=entity["_updated_at"])
            with pytest.raises(ConflictError):
                await db.delete("articles", key="1", if_unchanged_since=entity["_updated_at"])
            assert await db.update_where("articles", "year > $1", {"new": True}, [5]) == 5
            assert await db.delete_where("articles", "new") == 5
            assert await db.count("articles") == 5
            await db.drop_table("articles")
            assert await db.tables() == []

    asyncio.run(main())
