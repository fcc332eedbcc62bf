"""The distribution that installed this package. Its name is only in `pyproject.toml`."""

from __future__ import annotations

from importlib.metadata import Distribution, entry_points


def distribution() -> Distribution | None:
    """Return the distribution, or `None` if the package is not installed, such as on `PYTHONPATH`."""
    plugins = entry_points(group="pytest11", name="percolate")
    return next((plugin.dist for plugin in plugins if plugin.value == f"{__package__}._pytest_plugin"), None)


def name() -> str | None:
    """Return the name of the distribution."""
    found = distribution()
    return None if found is None else found.metadata["Name"]
