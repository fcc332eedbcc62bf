"""One small task with four databases: lines of code, and seconds of each step.

    scripts/bench-wheel.sh compare

The task stores 5,000 documents with their vectors, filters them, searches the nearest ones that match
a condition, updates one, deletes some, counts by decade, and exports the rest as lines of JSON. All
databases must return the same. Each round runs every database in a process of its own; the numbers are
medians of the rounds.
"""

from __future__ import annotations

import ast
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from documents import documents, embed

DATABASES = {
    "percolate": "with_percolate",
    "LanceDB": "with_lancedb",
    "Chroma": "with_chroma",
    "sqlite-utils": "with_sqlite_utils",
}
STEPS = ["store", "filter", "search", "update", "delete", "aggregate", "export"]
ROUNDS = 5
QUESTION = "river stone forest"


def one(module: str) -> dict[str, object]:
    """Run the task with one database."""
    task = importlib.import_module(module).task
    rows = documents()
    embed([row["body"] for row in rows])  # their words are known from here on
    seconds: dict[str, float] = {}
    last = time.perf_counter()

    def progress(step: str) -> None:
        nonlocal last
        now = time.perf_counter()
        seconds[step] = now - last
        last = time.perf_counter()

    with tempfile.TemporaryDirectory() as directory:
        result = task(Path(directory), rows, QUESTION, progress)
        exported = [json.loads(line) for line in (Path(directory) / "articles.jsonl").read_text().splitlines()]
    result["exported"] = sorted([row["slug"], row["year"], row["body"]] for row in exported)
    return {"seconds": seconds, "result": result}


def lines(module: str) -> int:
    """Return the lines of code of a module, without its docstring, blank lines and comments."""
    source = Path(__file__).with_name(f"{module}.py").read_text()
    docstring = ast.parse(source).body[0].end_lineno or 0
    code = source.splitlines()[docstring:]
    return sum(1 for line in code if line.strip() and not line.strip().startswith(("#", "progress(")))


def main() -> None:
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in DATABASES}
    results: dict[str, object] = {}
    for _ in range(ROUNDS):
        for name, module in DATABASES.items():
            printed = subprocess.run([sys.executable, __file__, module], check=True, capture_output=True, text=True)
            answer = json.loads(printed.stdout.splitlines()[-1])
            runs[name].append(answer["seconds"])
            results[name] = answer["result"]
    reference = results["sqlite-utils"]
    for name, result in results.items():
        assert isinstance(result, dict) and isinstance(reference, dict)
        for what in reference:
            if result[what] != reference[what]:
                print(f"{name} returned something else for {what}: {str(result[what])[:200]}", file=sys.stderr)
                sys.exit(1)
    print(f"{'':14}{'lines':>7}" + "".join(f"{step:>11}" for step in STEPS) + f"{'all':>9}")
    for name, module in DATABASES.items():
        medians = [statistics.median(run[step] for run in runs[name]) for step in STEPS]
        row = "".join(f"{1000 * value:>8.1f} ms" for value in medians)
        print(f"{name:14}{lines(module):>7}{row}{sum(medians):>7.2f} s")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(one(sys.argv[1])))
    else:
        main()
