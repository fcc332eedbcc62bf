"""What each command does. A command returns its exit code; failed operations raise."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import AbstractContextManager
from typing import Any

from .._percolate_rocks import Database, HttpEmbeddings, MissingError, RowsRefusedError, _is_url
from ._output import chosen, json_of, write_objects, write_rows
from ._progress import progress_of

#: Ids and keys that are read at a time.
_PAGE = 1000


class WrongUsage(Exception):
    """Arguments that do not go together."""


def _exists(url: str) -> bool:
    try:
        Database(url, read_only=True).close()
    except MissingError:
        return False
    return True


def _open(
    options: argparse.Namespace, *, write: bool = False, create: bool = False
) -> AbstractContextManager[Database]:
    if not options.db:
        raise WrongUsage("no database was named; pass --db PATH or set PERCOLATE_DATABASE")
    if write and _is_url(options.db) and not options.take_over and _exists(options.db):
        raise WrongUsage(
            f"writing to {options.db} ends the rights of a process that writes to it now; pass --take-over if there is "
            "none, or if it may end"
        )
    return Database(
        options.db,
        tenant=options.tenant,
        create_if_missing=create,
        read_only=not write,
        embedder=_embedder(options),
    )


def _embedder(options: argparse.Namespace) -> HttpEmbeddings | None:
    endpoint = getattr(options, "endpoint", None)
    if endpoint is None:
        return None
    if options.model is None or options.dimensions is None:
        raise WrongUsage("--endpoint needs --model and --dimensions")
    key = None
    if options.api_key_variable is not None:
        key = os.environ.get(options.api_key_variable)
        if key is None:
            raise ValueError(f"the environment variable {options.api_key_variable} is not set")
    return HttpEmbeddings(endpoint, options.model, options.dimensions, api_key=key)


def _note(text: str) -> None:
    print(f"percolate: {text}", file=sys.stderr)


def parameter(text: str) -> Any:
    """Return the JSON value that a text is, otherwise the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, (dict, list)) else value


def tables(options: argparse.Namespace) -> int:
    with _open(options) as db:
        for name in db.tables():
            print(name)
        for name, reason in db.unusable_tables().items():
            _note(f"{name} cannot be used: {reason}")
    return 0


def schema_show(options: argparse.Namespace) -> int:
    with _open(options) as db:
        print(json.dumps(db.schema(options.table), ensure_ascii=False, indent=2))
    return 0


def schema_set(options: argparse.Namespace) -> int:
    schema = _read_object(options.file)
    is_new = bool(options.db) and not _is_url(options.db) and not os.path.exists(options.db)
    with _open(options, write=True, create=True) as db:
        report = db.register_schema(options.table, schema)
    if is_new:
        _note(f"created the database {options.db}")
    if report is not None:
        _note(
            f"{report['mismatched']} of {report['checked']} entities of {options.table} do not match the schema; they "
            f"stay as they are. The first: {report['examples'][0]['reason']}"
        )
    return 0


def _read_object(path: str) -> dict[str, Any]:
    name = "standard input" if path == "-" else path
    if path == "-":
        text = sys.stdin.read()
    else:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{name} must hold a JSON object")
    return value


def insert(options: argparse.Namespace) -> int:
    source = sys.stdin.buffer if options.file == "-" else options.file
    with _open(options, write=True) as db:
        try:
            report = db.import_jsonl(
                options.table,
                source,
                on_error=options.on_error,
                existing=options.existing,
                batch_size=options.batch_size,
                ignore_vectors=options.ignore_vectors,
                **progress_of(options),
            )
        except RowsRefusedError as refused:
            # The message names the first rows.
            if len(refused.report["errors"]) > 1:
                _list_refused(options.file, refused.report)
            raise
    _list_refused(options.file, report)
    counts = ", ".join(f"{report[name]} {name}" for name in ("written", "unchanged", "refused"))
    print(f"{report['rows']} rows: {counts}")
    return 0


def _list_refused(path: str, report: dict[str, Any]) -> None:
    name = "standard input" if path == "-" else path
    for error in report["errors"]:
        _note(f"{name}:{error['line']}: {error['reason']}")


def get(options: argparse.Namespace) -> int:
    if bool(options.id) == bool(options.key):
        raise WrongUsage("pass ids, or keys with --key")
    code = 0
    with _open(options) as db:
        names = options.id or options.key
        for start in range(0, len(names), _PAGE):
            page = names[start : start + _PAGE]
            found = db.get_many(options.table, page) if options.id else db.get_many(options.table, keys=page)
            write_objects(entity for entity in found if entity is not None)
            for name, entity in zip(page, found, strict=True):
                if entity is None:
                    _note(f"{options.table} has no entity with the {'id' if options.id else 'key'} {name}")
                    code = 1
    return code


def query(options: argparse.Namespace) -> int:
    sql = sys.stdin.read() if options.sql == "-" else options.sql
    with _open(options) as db:
        result = db.query_arrow(sql, options.params, timeout=options.timeout)
    write_rows(chosen(options.format), result.column_names, result.iter_rows())
    return 0


def search(options: argparse.Namespace) -> int:
    with _open(options) as db:
        found = db.search(
            options.table,
            options.text,
            options.limit,
            where=options.where,
            params=options.params or None,
            timeout=options.timeout,
            **progress_of(options),
        )
    kind = chosen(options.format)
    if kind == "jsonl":
        write_objects({"distance": distance, "entity": entity} for entity, distance in found)
    else:
        # Entities may lack fields.
        fields = list(dict.fromkeys(name for entity, _ in found for name in entity))
        rows = ([distance, *(entity.get(name) for name in fields)] for entity, distance in found)
        write_rows(kind, ["distance", *fields], rows)
    return 0


def embed(options: argparse.Namespace) -> int:
    with _open(options, write=True) as db:
        report = db.generate_embeddings(options.table, timeout=options.timeout, **progress_of(options))
    print(json_of(report))
    return 1 if report["waiting"] else 0


def verify(options: argparse.Namespace) -> int:
    with _open(options) as db:
        report = db.verify_indexes(timeout=options.timeout, **progress_of(options))
    print(json_of(report))
    is_clean = not any(report[name] for name in ("missing", "stale", "failed", "unreadable"))
    if not is_clean:
        _note(f"the indexes of {options.db} have differences; `percolate rebuild` corrects them")
    return 0 if is_clean else 1


def rebuild(options: argparse.Namespace) -> int:
    if options.vectors and options.table is not None:
        raise WrongUsage("--vectors rebuilds the vector indexes of all tables; omit the table")
    with _open(options, write=True) as db:
        if options.vectors:
            report = db.rebuild_vector_indexes(timeout=options.timeout, **progress_of(options))
        else:
            report = db.rebuild_indexes(options.table, timeout=options.timeout, **progress_of(options))
    print(json_of(report))
    return 1 if report["failed"] or report["unreadable"] else 0


def backup(options: argparse.Namespace) -> int:
    if os.path.lexists(options.directory):
        raise ValueError(f"{options.directory} exists; name a new directory")
    with _open(options, write=True) as db:
        db.checkpoint(options.directory)
    return 0


def copy(options: argparse.Namespace) -> int:
    with _open(options) as db:
        report = db.copy_to(options.target, timeout=options.timeout, **progress_of(options))
    print(json_of(report))
    return 0


def stats(options: argparse.Namespace) -> int:
    rows: list[tuple[str, str, int]] = []
    with _open(options) as db:
        if db.system == "rocksdb":
            files = [entry.stat().st_size for entry in os.scandir(db.path) if entry.is_file()]
            rows += [("database", "bytes", sum(files)), ("database", "files", len(files))]
        unusable = db.unusable_tables()
        for table in db.tables():
            if table in unusable:
                _note(f"{table} cannot be used: {unusable[table]}")
                continue
            rows.append((table, "entities", db.count(table)))
            if db.schema(table).get("embedding_fields"):
                status = db.embedding_status(table)
                rows.append((table, "waiting for embedding", status["waiting"]))
                rows.append((table, "refused by the embedder", len(status["refused"])))
    write_rows(chosen(options.format), ["of", "figure", "value"], rows)
    return 0


def export(options: argparse.Namespace) -> int:
    with _open(options) as db:
        target = sys.stdout.buffer if options.file == "-" else options.file
        count = db.export_jsonl(
            options.table, target, vectors=options.vectors, timeout=options.timeout, **progress_of(options)
        )
    if options.file != "-":
        print(f"{count} entities")
    return 0
