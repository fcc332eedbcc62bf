"""The command `percolate`: every command, its output, its messages and its exit codes."""

from __future__ import annotations

import fcntl
import io
import itertools
import json
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from percolate_rocks import Database, __version__
from percolate_rocks._cli import _output, main

SCHEMA = {
    "properties": {
        "slug": {"type": "string"},
        "year": {"type": "integer"},
        "price": {"type": "number"},
        "body": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "key_field": "slug",
    "indexed_fields": ["year"],
    "embedding_fields": ["body"],
}
ROWS = [
    {"slug": "percolation", "year": 1957, "price": 2.5, "body": "liquids in porous stone", "tags": ["a", "b"]},
    {"slug": "clusters, \"big\"", "year": 1976, "body": "two\nlines"},
    {"slug": "水", "price": 10, "tags": []},
]
ORDERED = "SELECT slug, year, price, body, tags FROM articles ORDER BY price NULLS FIRST"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with three articles, which nothing has open."""
    with Database(tmp_path / "data") as db:
        db.register_schema("articles", SCHEMA)
        db.insert_many("articles", ROWS)
    return tmp_path / "data"


@pytest.fixture
def run(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process. Returns the exit code and what it wrote."""
    monkeypatch.setenv("PERCOLATE_DATABASE", str(path))

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        written = capsys.readouterr()
        return code, written.out, written.err

    return run


def started(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "percolate_rocks", *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **{**pipes, **options})


def finished(*arguments: object, given: bytes = b"", **options: Any) -> tuple[int, str, str]:
    with started(*arguments, **options) as process:
        out, err = process.communicate(given, timeout=60)
    return process.returncode, (out or b"").decode(), (err or b"").decode()


@pytest.fixture
def locked(path: Path) -> Iterator[Database]:
    with Database(path) as db:
        yield db


def test_tables_are_listed(run: Run) -> None:
    assert run("tables") == (0, "articles\n", "")


def test_a_schema_is_set_and_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"key_field": "name"}')
    assert run("schema", "set", "authors", str(tmp_path / "schema.json")) == (0, "", "")
    code, out, err = run("schema", "show", "authors")
    assert (code, json.loads(out), err) == (0, {"key_field": "name"}, "")


def test_setting_a_schema_creates_the_database_and_reports_mismatches(tmp_path: Path) -> None:
    new = tmp_path / "new"
    schema = b'{"properties": {"year": {"type": "integer"}}}'
    assert finished("schema", "set", "t", "--db", new, given=schema) == (0, "", f"percolate: created the database {new}\n")
    assert finished("insert", "t", "--db", new, given=b'{"year": 1}\n{"year": 2}\n')[0] == 0
    code, out, err = finished("schema", "set", "t", "--db", new, given=schema.replace(b"integer", b"string"))
    assert (code, out) == (0, "")
    assert err.startswith("percolate: 2 of 2 entities of t do not match the schema; they stay as they are. The first: ")
    assert err.count("\n") == 1


def test_lines_are_inserted_from_a_file_and_from_standard_input(run: Run, path: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"slug": "a"}\n{"slug": "b"}\n')
    assert run("insert", "articles", str(file)) == (0, "2 rows: 2 written, 0 unchanged, 0 refused\n", "")
    given = b'{"slug": "b", "year": 1}\n{"slug": "c"}\n'
    replaced = finished("insert", "articles", "--db", path, "--existing", "replace", given=given)
    assert replaced == (0, "2 rows: 2 written, 0 unchanged, 0 refused\n", "")
    skipped = finished("insert", "articles", "-", "--db", path, "--existing", "skip", "--batch-size", 1, given=given)
    assert skipped == (0, "2 rows: 0 written, 2 unchanged, 0 refused\n", "")


def test_refused_rows_are_listed_and_nothing_is_written(run: Run, path: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"slug": "a"}\n{"slug": }\n')
    code, out, err = run("insert", "articles", str(file))
    assert (code, out) == (1, "")
    assert err == (
        f"percolate: cannot insert {file} into articles in the database at {path}: cannot import into `articles`: 1 of 2 "
        "rows were refused, and nothing was written: line 2: invalid JSON at column 10: expected value\n"
    )
    file.write_text('{"slug": "a"}\n{"slug": }\n{"year": 1}\n')
    code, out, err = run("insert", "articles", str(file), "--on-error", "skip")
    assert (code, out) == (0, "3 rows: 1 written, 0 unchanged, 2 refused\n")
    listed = err.splitlines()
    assert listed[0] == f"percolate: {file}:2: invalid JSON at column 10: expected value"
    assert listed[1].startswith(f"percolate: {file}:3: ")
    code, out, err = run("insert", "articles", str(file))
    assert (code, out, len(err.splitlines())) == (1, "", 4)


def test_entities_are_read_by_key_and_by_id(run: Run) -> None:
    code, out, err = run("get", "articles", "--key", "percolation", "--key", "水")
    first, second = map(json.loads, out.splitlines())
    assert (code, first["year"], second["slug"], err) == (0, 1957, "水", "")
    assert run("get", "articles", first["_id"]) == (0, out.splitlines(keepends=True)[0], "")


def test_a_missing_entity_is_an_error_and_the_others_are_printed(run: Run) -> None:
    code, out, err = run("get", "articles", "--key", "percolation", "--key", "nothing")
    assert (code, len(out.splitlines())) == (1, 1)
    assert err == "percolate: articles has no entity with the key nothing\n"


def test_a_query_is_printed_as_lines_of_json(run: Run) -> None:
    assert run("query", ORDERED, "--format", "jsonl") == (
        0,
        '{"slug":"clusters, \\"big\\"","year":1976,"price":null,"body":"two\\nlines","tags":null}\n'
        '{"slug":"percolation","year":1957,"price":2.5,"body":"liquids in porous stone","tags":["a","b"]}\n'
        '{"slug":"水","year":null,"price":10.0,"body":null,"tags":[]}\n',
        "",
    )
    assert run("query", ORDERED) == run("query", ORDERED, "--format", "jsonl")


def test_a_query_is_printed_as_csv(run: Run) -> None:
    assert run("query", ORDERED, "--format", "csv") == (
        0,
        "slug,year,price,body,tags\n"
        '"clusters, ""big""",1976,,"two\nlines",\n'
        'percolation,1957,2.5,liquids in porous stone,"[""a"",""b""]"\n'
        "水,,10.0,,[]\n",
        "",
    )


def test_a_query_is_printed_as_a_table(run: Run) -> None:
    assert run("query", ORDERED, "--format", "table") == (
        0,
        "slug             year  price  body                     tags\n"
        "---------------  ----  -----  -----------------------  ---------\n"
        'clusters, "big"  1976   NULL  two\\nlines               NULL\n'
        'percolation      1957    2.5  liquids in porous stone  ["a","b"]\n'
        "水               NULL   10.0  NULL                     []\n"
        "(3 rows)\n",
        "",
    )
    assert run("query", "SELECT slug FROM articles WHERE year = 0", "--format", "table")[1] == "slug\n----\n(0 rows)\n"


@pytest.mark.parametrize(
    ("sql", "jsonl", "cell"),
    [
        ("true", "true", "true"),
        ("'NaN'::double", "null", "nan"),
        ("make_date(1957, 7, 1)", '"1957-07-01"', "1957-07-01"),
        ("'1957-07-01T12:00:00Z'::timestamp", '"1957-07-01T12:00:00"', "1957-07-01T12:00:00"),
        ("1.50::decimal(10,2)", '"1.50"', "1.50"),
        ("x'00ff'", '"00ff"', "00ff"),
        ("[1.5, 'NaN'::double]", "[1.5,null]", '"[1.5,null]"'),
        ("NULL", "null", '""'),
    ],
)
def test_values_have_one_form_in_each_format(run: Run, sql: str, jsonl: str, cell: str) -> None:
    assert run("query", f"SELECT {sql} AS v", "--format", "jsonl") == (0, f'{{"v":{jsonl}}}\n', "")
    # The csv module quotes an empty value of the only column.
    assert run("query", f"SELECT {sql} AS v", "--format", "csv") == (0, f"v\n{cell}\n", "")


def test_parameters_are_json_values_or_text(run: Run, path: Path) -> None:
    assert run("query", "SELECT slug FROM articles WHERE year < $1", "-p", "1960")[1] == '{"slug":"percolation"}\n'
    assert run("query", "SELECT year FROM articles WHERE slug = $1", "-p", "percolation")[1] == '{"year":1957}\n'
    assert run("query", "SELECT $1 AS a, $2 AS b", "-p", '"1957"', "-p", "[1]")[1] == '{"a":"1957","b":"[1]"}\n'
    assert finished("query", "-", "--db", path, given=b"SELECT 1 AS n") == (0, '{"n":1}\n', "")


def test_columns_with_the_same_name_are_kept_or_refused(run: Run) -> None:
    sql = "SELECT a.slug, b.slug FROM articles a JOIN articles b ON a._id = b._id WHERE a.year = 1957"
    assert run("query", sql, "--format", "csv")[:2] == (0, "slug,slug\npercolation,percolation\n")
    code, out, err = run("query", sql, "--format", "jsonl")
    assert (code, out) == (1, "")
    assert err.endswith("two columns are called slug; rename one with AS, or use --format csv\n")


def test_texts_are_embedded_and_searched(run: Run) -> None:
    assert run("embed", "articles") == (0, '{"embedded":3,"waiting":0,"refused":0}\n', "")
    code, out, _ = run("search", "articles", "porous stone", "--limit", "1")
    found = json.loads(out)
    assert (code, set(found), found["entity"]["slug"]) == (0, {"distance", "entity"}, "percolation")
    code, out, _ = run("search", "articles", "lines", "--where", "year < $1", "-p", "1960", "--format", "csv")
    names, row = out.splitlines()
    assert (code, names) == (0, "distance,_created_at,_id,_updated_at,body,price,slug,tags,year")
    assert row.endswith(',liquids in porous stone,2.5,percolation,"[""a"",""b""]",1957')


def test_indexes_are_verified_and_rebuilt(run: Run) -> None:
    clean = '{"entities":3,"missing":0,"stale":0,"failed":0,"unreadable":[]}\n'
    assert run("verify") == (0, clean, "")
    for arguments in [[], ["articles"], ["--vectors"]]:
        code, out, err = run("rebuild", *arguments)
        assert (code, json.loads(out)["failed"], err) == (0, 0, "")


def test_a_difference_is_exit_code_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from percolate_rocks._cli import _commands

    report = {"entities": 1, "missing": 1, "stale": 0, "failed": 0, "unreadable": []}

    class Stand:
        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self) -> Stand:
            return self
        def __exit__(self, *_: object) -> None: ...
        def verify_indexes(self, **_: object) -> dict[str, object]:
            return report

    monkeypatch.setattr(_commands, "Database", Stand)
    code, out, err = run("verify")
    assert (code, json.loads(out)) == (1, report)
    assert err.endswith("have differences; `percolate rebuild` corrects them\n")


def test_a_copy_is_a_database_on_an_object_store_and_back(run: Run, tmp_path: Path) -> None:
    there, back = f"file://{tmp_path}/there", str(tmp_path / "back")
    code, out, err = run("copy", there)
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["entries"] > 0
    assert run("--db", there, "copy", back, "--quiet") == (0, out, "")
    code, out, _ = run("--db", there, "stats", "--format", "jsonl")
    assert (code, "articles" in out, '"bytes"' in out) == (0, True, False)
    assert run("--db", back, "get", "articles", "--key", "percolation") == run("get", "articles", "--key", "percolation")
    code, _, err = run("copy", there)
    assert code == 1
    assert "it has data in the column family" in err


def test_a_writer_on_an_object_store_is_ended_only_if_asked(run: Run, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/live"
    schema = json.dumps({"properties": {"title": {"type": "string"}}})
    (tmp_path / "schema.json").write_text(schema)
    (tmp_path / "rows").write_text('{"title": "sediment"}\n')
    # A new database has no other writer.
    assert run("--db", url, "schema", "set", "notes", str(tmp_path / "schema.json"))[0] == 0
    with Database(url, flush_interval=0.001) as service:
        service.insert("notes", {"title": "percolation"})
        code, _, err = run("--db", url, "insert", "notes", str(tmp_path / "rows"))
        assert code == 2
        assert "pass --take-over" in err
        service.insert("notes", {"title": "aquifer"})
        assert service.count("notes") == 2
    assert run("--db", url, "insert", "notes", str(tmp_path / "rows"), "--take-over", "--quiet")[0] == 0
    assert run("--take-over", "--db", url, "embed", "notes", "--quiet")[0] == 0
    assert len(run("--db", url, "export", "notes")[1].splitlines()) == 3


def test_a_backup_is_a_database(run: Run, tmp_path: Path) -> None:
    assert run("backup", str(tmp_path / "copy")) == (0, "", "")
    assert run("--db", str(tmp_path / "copy"), "tables")[1] == "articles\n"
    code, _, err = run("backup", str(tmp_path / "copy"))
    assert (code, err.count("\n")) == (1, 1)
    assert err.endswith(f"{tmp_path / 'copy'} exists; name a new directory\n")
    code, _, err = run("backup", str(tmp_path / "no" / "copy"))
    assert (code, err.count("\n")) == (1, 1)


def test_stats_count_entities_and_bytes(run: Run) -> None:
    code, out, err = run("stats", "--format", "csv")
    of, *figures = (line.split(",") for line in out.splitlines())
    assert (code, err, of) == (0, "", ["of", "figure", "value"])
    assert int(figures[0][2]) > 1000 and figures[0][:2] == ["database", "bytes"]
    assert figures[2:] == [
        ["articles", "entities", "3"],
        ["articles", "waiting for embedding", "3"],
        ["articles", "refused by the embedder", "0"],
    ]


def test_an_export_is_inserted_into_another_database(run: Run, path: Path, tmp_path: Path) -> None:
    code, _, _ = run("schema", "set", "articles", "--db", str(tmp_path / "copy"), _file(tmp_path, SCHEMA))
    assert code == 0
    assert run("export", "articles", str(tmp_path / "all.jsonl")) == (0, "3 entities\n", "")
    code, out, err = finished("export", "articles", "--db", path)
    assert (code, out, err) == (0, (tmp_path / "all.jsonl").read_text(), "")
    inserted = finished("insert", "articles", "--db", tmp_path / "copy", given=out.encode())
    assert inserted == (0, "3 rows: 3 written, 0 unchanged, 0 refused\n", "")
    assert finished("export", "articles", "--db", tmp_path / "copy") == (0, out, "")


def test_an_export_with_vectors_is_inserted_without_the_embedder(run: Run, tmp_path: Path) -> None:
    assert run("embed", "articles", "--quiet")[0] == 0
    lines = str(tmp_path / "vectors.jsonl")
    assert run("export", "articles", lines, "--vectors") == (0, "3 entities\n", "")
    assert Path(lines).read_text().count('"_embedded_by":{"body":"offline-1"},"_vectors":{"body":[') == 2
    elsewhere = ["--endpoint", "http://localhost:1", "--model", "minilm", "--dimensions", "384"]
    # One of the entities has no text; it waits for nothing, and is counted.
    for name, options, code, waiting in [
        ("copy", [], 0, 1),
        ("other", elsewhere, 1, 0),
        ("ignored", [*elsewhere, "--ignore-vectors"], 0, 3),
    ]:
        copy = ["--db", str(tmp_path / name)]
        assert run("schema", "set", "articles", *copy, _file(tmp_path, SCHEMA))[0] == 0
        ended, _, err = run("insert", "articles", lines, *copy, *options)
        assert ended == code, err
        assert code == 0 or "names another embedding provider than that of the database, `minilm`" in err
        with Database(tmp_path / name) as db:
            assert db.embedding_status("articles")["waiting"] == waiting
    code, _, err = run("export", "articles", "--vectors", *elsewhere[:-1], "3")
    assert code == 1 and "the embedding provider has 3 dimensions" in err


def _file(folder: Path, value: object) -> str:
    (folder / "value.json").write_text(json.dumps(value))
    return str(folder / "value.json")


def test_tenants_are_separate(run: Run) -> None:
    assert run("tables", "--tenant", "another") == (0, "", "")
    assert run("--tenant", "another", "tables") == (0, "", "")


def test_reading_commands_work_while_another_handle_writes(locked: Database) -> None:
    for command in [
        ["tables"], ["schema", "show", "articles"], ["get", "articles", "--key", "水"], ["query", ORDERED],
        ["search", "articles", "stone"], ["verify"], ["stats"], ["export", "articles"],
    ]:  # fmt: skip
        assert finished(*command, env={**os.environ, "PERCOLATE_DATABASE": str(locked.path)})[0] == 0, command


def test_writing_commands_need_a_database_that_nothing_has_open(locked: Database) -> None:
    for command in [
        ["insert", "articles", "-"], ["schema", "set", "t", "-"], ["rebuild"], ["embed", "articles"], ["backup", "copy"],
    ]:  # fmt: skip
        code, out, err = finished("--db", locked.path, *command, given=b"{}")
        assert (code, out) == (1, ""), command
        assert err.endswith(
            f"the database at {locked.path} is already open; stop the process that has it open; commands that only read "
            "work meanwhile\n"
        )
        assert err.startswith("percolate: cannot ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["query", "SELECT nope FROM articles"], "cannot run the query on the database at {path}: column `nope` does not exist"),
        (["export", "nope"], "cannot export nope of the database at {path} to standard output: table `nope` does not exist"),
        (["schema", "show", "nope"], "Register its schema with `percolate schema set` first"),
        (["insert", "articles", "nofile"], "cannot insert nofile into articles in the database at {path}: nofile: No such file"),
        (["schema", "set", "t", "nofile"], "nofile: No such file or directory"),
        (["schema", "set", "t", __file__], f"{__file__} is not JSON: "),
        (["get", "articles", "notanid"], "pass a key with --key"),
        (["search", "articles", "x", "--where", "nope = 1"], "column `nope` does not exist"),
        (["--db", "/nowhere", "tables"], "there is no database at /nowhere; `percolate schema set` creates one"),
        (["export", "articles", "/nowhere/file"], "/nowhere/file: No such file or directory"),
        (["query", "SELECT 1", "--timeout", "0"], "cannot run the query"),
    ],
)
def test_a_failed_operation_is_one_line_and_exit_code_1(
    run: Run, path: Path, arguments: list[str], message: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert message.format(path=path) in err
    assert err.startswith("percolate: cannot ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["nothing"], "invalid choice: 'nothing'"),
        (["query"], "the following arguments are required: sql"),
        (["query", "SELECT 1", "--format", "xml"], "invalid choice: 'xml'"),
        (["search", "articles", "x", "--limit", "0"], "argument --limit: must be at least 1"),
        (["query", "SELECT 1", "--timeout", "soon"], "invalid number of seconds value: 'soon'"),
        (["get", "articles"], "pass ids, or keys with --key; see `percolate get --help`"),
        (["rebuild", "articles", "--vectors"], "omit the table; see `percolate rebuild --help`"),
        (["embed", "articles", "--endpoint", "http://x"], "--endpoint needs --model and --dimensions"),
        (["--db", "", "schema", "show", "t"], "pass --db PATH or set PERCOLATE_DATABASE; see `percolate schema show --help`"),
    ],
)
def test_invalid_arguments_are_exit_code_2(run: Run, arguments: list[str], message: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_help_teaches_with_examples(run: Run) -> None:
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    commands = re.findall(r"^    (\w+)  ", out, re.MULTILINE)
    assert commands == [
        "tables", "schema", "insert", "get", "query", "search", "embed", "verify", "rebuild", "backup", "copy", "stats", "export",
    ]  # fmt: skip
    assert "exit codes:" in out and "PERCOLATE_DATABASE" in out
    for command in commands:
        code, out, _ = run(command, "--help")
        assert (code, "--db PATH" in out) == (0, True)
        assert command in ("tables", "schema") or "examples:\n  percolate" in out
    assert run("--version") == (0, f"percolate {__version__}\n", "")


def test_the_examples_of_the_help_are_valid_arguments() -> None:
    from percolate_rocks._cli._arguments import parser

    texts = [subprocess.run([sys.executable, "-m", "percolate_rocks", "--help"], capture_output=True, text=True).stdout]
    top = parser()
    choices = next(action.choices for action in top._actions if isinstance(action.choices, dict))
    texts += [command.format_help() for command in choices.values()]
    examples = [line.strip() for text in texts for line in text.splitlines() if re.match(r"  (percolate|generate|echo) ", line)]
    assert len(examples) > 15
    for example in examples:
        lexer = shlex.shlex(example, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for is_operator, words in itertools.groupby(lexer, lambda word: word in ("|", "||", "&&")):
            command = list(itertools.takewhile(lambda word: word not in ("<", ">"), words))
            if not is_operator and command[0] == "percolate" and "COMMAND" not in command:
                assert callable(top.parse_args(command[1:]).run), example


def test_the_command_is_installed() -> None:
    script = Path(sys.executable).with_name("percolate")
    assert subprocess.run([script, "--version"], capture_output=True, text=True).stdout == f"percolate {__version__}\n"


def test_a_reader_that_ends_early_ends_the_command_quietly(path: Path) -> None:
    many = "SELECT a.slug, b.value FROM articles a CROSS JOIN generate_series(1, 100000) b"
    for command in [["query", many], ["query", many, "--format", "csv"], ["query", many, "--format", "table"]]:
        with started("--db", path, *command) as process:
            assert process.stdout is not None and process.stderr is not None
            assert process.stdout.readline()
            process.stdout.close()
            assert (process.wait(60), process.stderr.read()) == (0, b""), command
    read, write = os.pipe()
    os.close(read)
    assert finished("--db", path, "export", "articles", stdout=write) == (0, "", "")
    os.close(write)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error(path: Path) -> None:
    with open("/dev/full", "wb") as full:
        code, _, err = finished("--db", path, "query", ORDERED, stdout=full)
    assert (code, err) == (1, f"percolate: cannot run the query on the database at {path}: [Errno 28] No space left on device\n")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize("way", ["query", "insert"])
def test_ctrl_c_is_exit_code_130_without_a_traceback(path: Path, way: str) -> None:
    endless = "SELECT count(*) FROM generate_series(1, 100000000000) a WHERE a.value % 7 = 9"
    arguments = ["query", endless] if way == "query" else ["insert", "articles"]
    with started("--db", path, *arguments) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            # An open database has threads. Then the query begins, or a read of standard input, which stays open.
            _until(lambda: len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 1)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
            assert (process.stdout.read(), process.stderr.read()) == (b"", b"")
        finally:
            process.kill()


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


def _read(terminal: int) -> str:
    """Returns what was written to the other end of a terminal until it was closed."""
    written = b""
    while select.select([terminal], [], [], 60)[0]:
        try:
            written += os.read(terminal, 4096)
        except OSError:  # The other end is closed.
            break
    os.close(terminal)
    return written.decode().replace("\r\n", "\n")


def test_a_table_fits_the_terminal(path: Path) -> None:
    main_end, end = pty.openpty()
    environment = {**os.environ, "COLUMNS": "40"}
    sql = "SELECT slug, body, 'x' AS x FROM articles ORDER BY slug"
    with started("--db", path, "query", sql, stdin=end, stdout=end, env=environment) as process:
        os.close(end)
        written = _read(main_end)
        assert process.wait(60) == 0
    assert written == (
        "slug             body                  x\n"
        "---------------  --------------------  -\n"
        'clusters, "big"  two\\nlines            x\n'
        "percolation      liquids in porous s…  x\n"
        "水               NULL                  x\n"
        "(3 rows)\n"
    )


def test_columns_share_a_narrow_line() -> None:
    assert _output._fitted([3, 50, 60], 43) == [3, 18, 18]
    assert _output._fitted([3, 5, 60], 43) == [3, 5, 31]
    assert _output._fitted([30, 30, 30], 5) == [4, 4, 4]
    assert _output._fitted([1, 2], 80) == [1, 2]


@pytest.mark.parametrize(("kind", "header", "ahead"), [("jsonl", 0, 0), ("csv", 1, 0), ("table", 2, _output._MEASURED)])
def test_rows_are_written_as_they_come(kind: str, header: int, ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is read after the one before was written, except those that a table measures."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)

    def rows() -> Iterator[tuple[int]]:
        for n in range(_output._MEASURED + 50):
            if n > ahead:
                assert stream.getvalue().count("\n") == header + n
            yield (n,)

    _output.write_rows(kind, ["n"], rows())
    assert stream.getvalue().count("\n") == header + _output._MEASURED + 50 + (kind == "table")


def test_progress_is_lines_where_standard_error_is_no_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from percolate_rocks._cli import _progress

    assert run("rebuild")[2] == ""
    monkeypatch.setattr(_progress, "INTERVAL", 0)
    code, _, err = run("rebuild")
    assert (code, err.splitlines()[0]) == (0, "percolate: 3 entities after 0 s")
    assert run("embed", "articles")[2] == "percolate: 3 of 3 entities after 0 s\n"
    assert run("rebuild", "--quiet")[2] == ""


def test_progress_is_a_bar_where_standard_error_is_a_terminal(path: Path, tmp_path: Path) -> None:
    main_end, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    code, out, _ = finished("--db", path, "export", "articles", stderr=end)
    os.close(end)
    shown = _read(main_end)
    assert (code, len(out.splitlines())) == (0, 3)
    assert "3.00 entities [00:00" in shown and shown.endswith("\n")


def test_a_report_shows_what_a_command_did(path: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert finished("--db", path, "query", "SELECT 1 AS n", "--report", page) == (0, '{"n":1}\n', "")
    assert page.read_text().startswith("<!doctype html>")
    code, out, err = finished("--db", path, "tables", "--report", "/nowhere/report.html")
    assert (code, out, err.count("\n")) == (1, "articles\n", 1)
    assert err.startswith("percolate cannot write `/nowhere/report.html`: ")
