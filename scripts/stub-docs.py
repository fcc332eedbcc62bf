"""Copies the docstrings of the native module into its stub, where editors read them.

    .venv/bin/python scripts/stub-docs.py

The signatures in the stub are written by hand. Run this after a change of a docstring in
`percolate-py/src` and the build of the wheel; a test of the wheel compares both.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from percolate_rocks import _percolate_rocks

STUB = Path(__file__).parents[1] / "percolate-py/python/percolate_rocks/_percolate_rocks.pyi"


def documented(stub: str) -> str:
    """Return the stub with the docstring of every public class, method and function."""
    lines = stub.splitlines(keepends=True)
    # The last definition first, so that the positions of the others stay valid.
    for node, thing in reversed(list(definitions(ast.parse(stub)))):
        docstring = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
        if docstring:
            insert(lines, node, docstring)
    return "".join(lines)


def definitions(module):
    """Yield the public definitions of the stub in order, with what they describe."""
    for node in module.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
            continue
        thing = getattr(_percolate_rocks, node.name)
        yield node, thing
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    yield method, getattr(thing, method.name)


def insert(lines: list[str], node: ast.ClassDef | ast.FunctionDef, docstring: str) -> None:
    """Insert a docstring as the first statement of a definition, in place of `...` or another one."""
    first = node.body[0]
    indent = " " * (node.col_offset + 4)
    text = docstring.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    quoted = f'"""{text}\n"""' if "\n" in text else f'"""{text}"""'
    block = "".join(f"{indent}{line}".rstrip() + "\n" for line in quoted.split("\n"))
    if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
        decorators = getattr(first, "decorator_list", [])
        start = min(part.lineno for part in [first, *decorators]) - 1
        lines[start:start] = [block]
        return
    start, end = first.lineno - 1, first.end_lineno
    # The body may be on the line of the definition.
    head = lines[start][: first.col_offset].rstrip()
    lines[start:end] = [f"{head}\n{block}" if head else block]


if __name__ == "__main__":
    STUB.write_text(documented(STUB.read_text()))
