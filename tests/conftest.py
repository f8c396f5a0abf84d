"""What the whole run leaves out, where it begins, and what it says at its end."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.support.screenshots import SCREENSHOTS

# An example takes as long as the machine has other things to do.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--long`` runs everything."""
    parser.addoption("--long", action="store_true", help="also run tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with real processes: they take longest, and nobody is left alone with them at the end.

    xdist then has to keep the order: ``--no-loadscope-reorder``.
    """
    items.sort(key=lambda item: item.get_closest_marker("system") is None)
    if not config.getoption("--long"):
        skipped = pytest.mark.skip(reason="it takes a minute or more; run it with `make long`")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(skipped)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the console's pictures are; the workers that made them have no terminal."""
    if any(SCREENSHOTS.glob("*.png")):
        terminalreporter.write_line(f"screenshots of the console: {SCREENSHOTS}")
