"""The arguments of the command, and its help."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any

from .._percolate_rocks import __version__
from . import _commands
from ._output import FORMATS

_DESCRIPTION = """\
Work on a percolate database from the command line.

Commands that only read open the database read-only: they work while a service writes, and show
the state at their start. Commands that write need a directory that no other process has open. On
an object store they end the rights of another writer, so they need --take-over."""

_EXAMPLES = """\
examples:
  percolate --db data schema set articles articles.schema.json
  percolate --db data insert articles articles.jsonl
  percolate --db data query "SELECT slug, year FROM articles WHERE year < $1" -p 1960
  export PERCOLATE_DATABASE=data
  percolate export articles | gzip > articles.jsonl.gz
  percolate verify && percolate backup /backups/today

exit codes:
  0    success, also if the reader of the output ends early (| head)
  1    the operation failed; a line on standard error has the reason
  2    the arguments are invalid
  130  Ctrl-C

`percolate COMMAND --help` has the arguments and examples of a command."""


def parser() -> argparse.ArgumentParser:
    """Return the parser. The options of a command are attributes of the result, `run` runs it."""
    top = argparse.ArgumentParser(
        prog="percolate",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"percolate {__version__}")
    # The options of the database are accepted before the command and after it.
    _add_database(top, os.environ.get("PERCOLATE_DATABASE"), "default", None, False)
    commands = _Commands(top.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser))

    commands.add("tables", _commands.tables, "list the tables", "list the tables of {db}")

    schema = commands.group("schema", "show or set the schema of a table")
    show = schema.add(
        "show", _commands.schema_show, "print the schema of a table as JSON", "show the schema of {table} in {db}",
        "percolate schema show articles > articles.schema.json",
    )
    show.add_argument("table", help="the table")
    set_ = schema.add(
        "set", _commands.schema_set, "register or change the schema of a table", "set the schema of {table} in {db}",
        "percolate schema set articles articles.schema.json",
        "echo '{\"key_field\": \"slug\"}' | percolate schema set articles",
        note="Creates the database if there is none. Entities that do not match a changed schema stay as they\n"
        "are, and are counted on standard error.",
    )
    set_.add_argument("table", help="the table")
    _add_file(set_, "the schema, a JSON object")

    insert = commands.add(
        "insert", _commands.insert, "insert lines of JSON", "insert {file} into {table} in {db}",
        "percolate insert articles articles.jsonl",
        "generate | percolate insert articles --on-error skip",
        "percolate insert articles articles.jsonl --existing replace",
        note="All rows are checked before one is written. With --on-error skip, the other rows are written, and the\n"
        "exit code is 0. Refused rows are listed on standard error, at most 100. The vectors of rows must be of the\n"
        "embedder, which is called only for a table that embeds on write.",
    )
    insert.add_argument("table", help="the table")
    _add_file(insert, "lines of JSON, each with one object")
    insert.add_argument(
        "--on-error", choices=["abort", "skip"], default="abort", help="for refused rows (default: abort)"
    )
    insert.add_argument(
        "--existing", choices=["error", "replace", "skip"], default="error",
        help="for rows whose entities exist: refuse them, replace the data, or leave the entities (default: error)",
    )
    insert.add_argument("--batch-size", type=_positive, default=1000, metavar="N", help="rows of a write (default: 1000)")
    insert.add_argument("--ignore-vectors", action="store_true", help="ignore the vectors of rows, `_vectors`")
    _add_embedder(insert)
    _add_quiet(insert)

    get = commands.add(
        "get", _commands.get, "print entities as lines of JSON", "get entities of {table} in {db}",
        "percolate get articles --key percolation",
        "percolate get articles 24b51a21-eaea-5132-959a-af32cf7c3fad",
        note="The exit code is 1 if an entity does not exist. The others are printed.",
    )
    get.add_argument("table", help="the table")
    get.add_argument("id", nargs="*", help="ids of entities")
    get.add_argument("--key", action="append", default=[], help="a value of the key field; can be repeated")

    query = commands.add(
        "query", _commands.query, "run a SELECT", "run the query on {db}",
        "percolate query \"SELECT year, count(*) AS n FROM articles GROUP BY year\"",
        "percolate query \"SELECT * FROM articles WHERE year < $1\" -p 1960 --format csv > old.csv",
        "percolate query - < report.sql",
    )
    query.add_argument("sql", help="the query, or - to read it from standard input")
    _add_params(query, "$1, $2 and so on in the query")
    _add_format(query)
    _add_timeout(query)

    search = commands.add(
        "search", _commands.search, "search a table by meaning", "search {table} in {db}",
        "percolate search articles \"water in porous rock\" --limit 5",
        "percolate search articles water --where 'year < $1' -p 1960",
        note="A line of JSON is an object with `distance`, from 0 to 2, and `entity`. `percolate embed` computes the\n"
        "vectors of new entities.",
    )
    search.add_argument("table", help="the table")
    search.add_argument("text", help="the text")
    search.add_argument("--limit", type=_positive, default=10, metavar="N", help="the number of results (default: 10)")
    search.add_argument("--where", metavar="CONDITION", help="a condition: the text after WHERE of a query")
    _add_params(search, "$1, $2 and so on in the condition")
    _add_embedder(search)
    _add_format(search)
    _add_timeout(search)
    _add_quiet(search)

    embed = commands.add(
        "embed", _commands.embed, "compute the missing vectors of a table", "embed the entities of {table} in {db}",
        "percolate embed articles",
        "percolate embed articles --endpoint http://localhost:8080/v1/embeddings --model minilm --dimensions 384",
        note="The exit code is 1 if entities wait for another attempt.",
    )
    embed.add_argument("table", help="the table")
    _add_embedder(embed)
    _add_timeout(embed)
    _add_quiet(embed)

    verify = commands.add(
        "verify", _commands.verify, "count differences between entities and indexes", "verify the indexes of {db}",
        "percolate verify || percolate rebuild",
        note="Changes nothing. The exit code is 1 if there are differences or unreadable entities.",
    )
    _add_timeout(verify)
    _add_quiet(verify)

    rebuild = commands.add(
        "rebuild", _commands.rebuild, "rebuild the indexes", "rebuild the indexes of {db}",
        "percolate rebuild", "percolate rebuild articles", "percolate rebuild --vectors",
        note="The exit code is 1 if entities could not be read.",
    )
    rebuild.add_argument("table", nargs="?", help="rebuild only the field indexes of this table")
    rebuild.add_argument("--vectors", action="store_true", help="rebuild only the vector indexes")
    _add_timeout(rebuild)
    _add_quiet(rebuild)

    backup = commands.add(
        "backup", _commands.backup, "copy the database into a new directory", "back up {db} to {directory}",
        "percolate backup /backups/today",
        note="The copy is a database. On the same file system, its data files are hard links. A service that has the\n"
        "database open makes its own backups with `Database.checkpoint`.",
    )
    backup.add_argument("directory", help="a directory that does not exist")

    copy = commands.add(
        "copy", _commands.copy, "copy the database to a directory or an object store", "copy {db} to {target}",
        "percolate copy s3://bucket/library",
        "percolate --db s3://bucket/library copy library",
        note="The copy is compared with the database, entry by entry. Stop the writing service before, or its later\n"
        "writes are not in the copy. Credentials are environment variables such as AWS_ACCESS_KEY_ID.",
    )
    copy.add_argument("target", help="a new directory, or the URL of a place without a database")
    _add_timeout(copy)
    _add_quiet(copy)

    stats = commands.add(
        "stats", _commands.stats, "print sizes and numbers of entities", "read the figures of {db}",
        "percolate stats", "percolate stats --format jsonl",
        note="Reads every entity to count it.",
    )
    _add_format(stats)

    export = commands.add(
        "export", _commands.export, "write the entities of a table as lines of JSON",
        "export {table} of {db} to {file}",
        "percolate export articles articles.jsonl",
        "percolate export articles | percolate --db copy insert articles",
        "percolate export articles articles.jsonl --vectors",
        note="Entities are ordered by id and read from one snapshot. A file is replaced when the export is complete.\n"
        "With --vectors, name the embedder: its name is exported with its vectors. It is not called.",
    )
    export.add_argument("table", help="the table")
    _add_file(export, "the file to write", "standard output")
    export.add_argument("--vectors", action="store_true", help="export the vectors too, in the field `_vectors`")
    _add_embedder(export)
    _add_timeout(export)
    _add_quiet(export)
    return top


class _Parser(argparse.ArgumentParser):
    """The parser of one command. Options may stand between its positional arguments, also optional ones."""

    _within = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the arguments of the command."""
        if self._within or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._within = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._within = False


class _Commands:
    """The commands below a parser."""

    def __init__(self, parsers: Any, group: str = "") -> None:
        self._parsers = parsers
        self._group = group

    def add(
        self, name: str, run: Callable[[Any], int], summary: str, attempt: str, *examples: str, note: str = ""
    ) -> argparse.ArgumentParser:
        """Add a command. `attempt` is what an error message states, with the names of options in braces."""
        lines = "\n  ".join(examples)
        command: argparse.ArgumentParser = self._parsers.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.\n{note}".rstrip(),
            epilog=f"examples:\n  {lines}" if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add_database(command, *[argparse.SUPPRESS] * 4)
        command.set_defaults(
            run=run,
            command=f"{self._group}{name}",
            attempt=lambda options: attempt.format(**{**vars(options), **_names(options)}),
        )
        return command

    def group(self, name: str, summary: str) -> _Commands:
        """Add a command that has commands."""
        group = self._parsers.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        _add_database(group, *[argparse.SUPPRESS] * 4)
        commands = group.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
        return _Commands(commands, f"{name} ")


def _names(options: argparse.Namespace) -> dict[str, str]:
    """Return the names of the database and the file for messages."""
    names = {"db": "the database" if options.db is None else f"the database at {options.db}"}
    if getattr(options, "file", None) == "-":
        names["file"] = "standard output" if options.run is _commands.export else "standard input"
    return names


def _add_database(
    command: argparse.ArgumentParser, path: str | None, tenant: str, report: str | None, take_over: bool | str
) -> None:
    command.add_argument("--db", metavar="PATH", default=path, help="the database, a directory or a URL (default: $PERCOLATE_DATABASE)")
    command.add_argument(
        "--take-over", action="store_true", default=take_over,
        help="write to a database on an object store also if another process may write to it, which then cannot any more"
    )
    command.add_argument("--tenant", default=tenant, help="the tenant (default: default)")
    command.add_argument(
        "--report", metavar="PATH", default=report, help="write an HTML page that shows what the command did, and how long"
    )


def _add_file(command: argparse.ArgumentParser, content: str, default: str = "standard input") -> None:
    command.add_argument("file", nargs="?", default="-", help=f"{content} (default: -, {default})")


def _add_params(command: argparse.ArgumentParser, placeholders: str) -> None:
    command.add_argument(
        "-p", "--param", action="append", default=[], type=_commands.parameter, metavar="VALUE", dest="params",
        help=f"the value of the next of {placeholders}: a JSON value, otherwise text. "
        "-p 1957 is a number, -p '\"1957\"' is text",
    )


def _add_format(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--format", choices=FORMATS, default="auto",
        help="auto (the default) is table on a terminal and jsonl elsewhere. A table fits the terminal: long values are "
        "shortened",
    )


def _add_quiet(command: argparse.ArgumentParser) -> None:
    command.add_argument("-q", "--quiet", action="store_true", help="show no progress")


def _add_timeout(command: argparse.ArgumentParser) -> None:
    command.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="the longest time (default: no limit)")


def _add_embedder(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("embedder", "the embedder of the vectors, if it is not the built-in one")
    group.add_argument("--endpoint", metavar="URL", help="an endpoint with the OpenAI protocol")
    group.add_argument("--model", help="the name of its model")
    group.add_argument("--dimensions", type=_positive, metavar="N", help="the length of its vectors")
    group.add_argument("--api-key-variable", metavar="NAME", help="the environment variable that holds the key")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError("must be a number of seconds")
    return seconds


_positive.__name__, _seconds.__name__ = "number", "number of seconds"
