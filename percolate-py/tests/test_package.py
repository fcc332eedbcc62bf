"""The package as a whole: its names, docstrings and pytest fixture."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import posixpath
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest
from test_telemetry import run

import percolate_rocks
from percolate_rocks import AsyncDatabase, Database, _distribution, _percolate_rocks
from percolate_rocks._pytest_plugin import CapturedSpans

MODULES = [f"percolate_rocks.{module.name}" for module in pkgutil.iter_modules(percolate_rocks.__path__)]


def test_dunder_all_lists_every_public_name() -> None:
    assert sorted(percolate_rocks.__all__) == percolate_rocks.__all__
    for name in percolate_rocks.__all__:
        assert getattr(percolate_rocks, name) is not None
    native = {name for name in dir(_percolate_rocks) if not name.startswith("_")}
    assert native - set(percolate_rocks.__all__) == {"EntityIterator"}


def test_a_star_import_works_without_opentelemetry() -> None:
    script = """
    import sys

    class NoOpenTelemetry:
        def find_spec(self, name, path=None, target=None):
            if name.startswith("opentelemetry"):
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, NoOpenTelemetry())
    from percolate_rocks import *
    print(Database.__name__, "PercolateInstrumentor" in globals())
    """
    assert run(script) == "Database False\n"
    assert percolate_rocks.PercolateInstrumentor.__name__ == "PercolateInstrumentor"


def test_the_asynchronous_database_has_every_method_of_the_synchronous_one() -> None:
    def public(thing: type) -> set[str]:
        return {name for name in dir(thing) if not name.startswith("_")}

    assert public(Database) - public(AsyncDatabase) == {"path", "tenant", "namespace", "system"}
    assert public(AsyncDatabase) - public(Database) == {"database", "open"}
    def parameters(function: object) -> dict[str, tuple[object, object]]:
        found = inspect.signature(function).parameters  # type: ignore[arg-type]
        return {name: (found[name].kind, found[name].default) for name in found if name != "self"}

    for name in sorted(public(Database) & public(AsyncDatabase) - {"closed", "find"}):
        assert parameters(getattr(AsyncDatabase, name)) == parameters(getattr(Database, name)), name
    ours, theirs = parameters(AsyncDatabase.find), parameters(Database.find)
    assert [(name, kind) for name, (kind, _) in ours.items()] == [(name, kind) for name, (kind, _) in theirs.items()]
    opened = parameters(AsyncDatabase.open)
    assert opened.pop("threads") == (inspect.Parameter.KEYWORD_ONLY, None)
    assert opened == parameters(Database)


def test_the_stub_has_the_docstrings_of_the_module() -> None:
    script = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "stub-docs.py"))
    stub = script["STUB"].read_text()
    assert script["documented"](stub) == stub, "run .venv/bin/python scripts/stub-docs.py"
    assert """Insert an entity and return its id.""" in stub


def test_the_name_of_the_distribution_is_in_one_place_and_its_version_is_that_of_the_package() -> None:
    root = Path(__file__).parents[1]
    (name,) = re.findall(r'^name = "(.*)"$', (root / "pyproject.toml").read_text(), re.MULTILINE)
    assert _distribution.name() == name
    assert percolate_rocks.__version__ == version(name)
    # The older package of this name is the subject of `compat`.
    sources = {path: path.read_text() for path in (root / "python").rglob("*.py*") if path.suffix in (".py", ".pyi")}
    assert {path.name for path, text in sources.items() if name in text} <= {"compat.py"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        percolate_rocks.nothing


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str, tmp_path: Path) -> None:
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    globs = {**vars(percolate_rocks), "tmp_path": tmp_path}
    if name.endswith("._percolate_rocks"):
        found = [t for o in vars(module).values() if getattr(o, "__doc__", None) for t in native_examples(finder, o, globs)]
        assert len(found) >= 2
    else:
        found = finder.find(module, name, globs=globs)
    for test in found:
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def native_examples(finder: doctest.DocTestFinder, thing: object, globs: dict[str, object]) -> list[doctest.DocTest]:
    """doctest finds only functions and classes written in Python."""
    parser = doctest.DocTestParser()
    documented = [thing, *vars(thing).values()] if isinstance(thing, type) else [thing]
    texts = [(getattr(o, "__name__", "?"), getattr(o, "__doc__", None)) for o in documented]
    tests = [parser.get_doctest(text, dict(globs), name, None, 0) for name, text in texts if isinstance(text, str)]
    return [test for test in tests if test.examples]


def test_the_examples_in_the_documentation_run(
    db: Database, percolate_spans: CapturedSpans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[2]
    pages = [root / "docs" / "python.md", root / "docs" / "migration.md", root / "README.md", root / "percolate-py" / "README.md"]
    examples = [re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL) for page in pages]
    assert all(examples)
    # Examples do not depend on each other or on an earlier run: they share the folder, and run twice.
    monkeypatch.chdir(tmp_path)
    for place, example in [(place, example) for place, found in enumerate(examples) for example in found] * 2:
        names: dict[str, object] = {"Database": Database}
        exec(compile(example, pages[place].name, "exec", dont_inherit=True), names)
        for name, thing in names.items():
            if name.startswith("test_") and callable(thing):
                percolate_spans.clear()
                thing(db, percolate_spans)


def test_the_fixture_shows_a_test_as_a_tree(db: Database, percolate_spans: CapturedSpans) -> None:
    with percolate_spans.tracer().start_as_current_span("request"):
        db.store_resource("r", b"x")
        db.load_resource("r")
    assert percolate_spans.tree() == "request\n  put resources\n  get resources"
    assert percolate_spans.one("get resources").parent is not None
    with pytest.raises(AssertionError, match="expected one span 'nothing'"):
        percolate_spans.one("nothing")
    percolate_spans.clear()
    assert percolate_spans.finished() == []


def test_the_fixture_ends_the_delivery_it_began() -> None:
    assert percolate_rocks.status()["installed"] is False


@pytest.mark.skipif(shutil.which("cargo") is None, reason="a source distribution is made with cargo")
def test_the_source_distribution_has_what_its_build_reads(tmp_path: Path) -> None:
    manifest = Path(__file__).parents[1] / "Cargo.toml"
    for command in (["maturin", "sdist", "--manifest-path", manifest, "--out", tmp_path], ["twine", "check", "--strict", tmp_path / "*"]):
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = tmp_path.iterdir()
    assert archive.stat().st_size < 4_000_000
    with tarfile.open(archive) as tar:
        members = {member.name.partition("/")[2]: member for member in tar.getmembers()}
        assert all(member.isfile() for member in members.values())
        assert {"Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "PKG-INFO", "README.md", "pyproject.toml"} <= set(members)
        included = 0
        for name, member in members.items():
            if not re.fullmatch(r"percolate-\w+/src/.*\.rs", name) or "/tests" in name:
                continue
            source = tar.extractfile(member)
            assert source is not None
            for path in re.findall(rb'include(?:_str|_bytes)?!\("([^"]+)"\)', source.read()):
                target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path.decode()))
                assert target in members, f"{name} includes {target}, which the source distribution does not have"
                included += 1
        assert included >= 5
        manual = tar.extractfile(members["percolate-otel/src/manual.rs"])
        assert manual is not None
        for page in re.findall(r'page!\(\w+: "([^"]+)"', manual.read().decode()):
            assert f"percolate-otel/docs/{page}" in members
