"""What the whole run says at its end."""

from __future__ import annotations

import pytest

from tests.support.screenshots import SCREENSHOTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the console's pictures are; the workers that made them have no terminal."""
    if any(SCREENSHOTS.glob("*.png")):
        terminalreporter.write_line(f"screenshots of the console: {SCREENSHOTS}")
