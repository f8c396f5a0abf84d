"""Every benchmark says what it races against what, and how long that takes."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("download", ("lock-step",)),
        ("fleet", ("restarted", "linear")),
        ("inference", ("bare loop", "pillow")),
        ("swap", ("frame",)),
    ],
)
def test_help_teaches(name: str, words: tuple[str, ...]) -> None:
    command = (sys.executable, "-m", f"bench.{name}", "--help")
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for word in ("--quick", "--json FILE", "minutes"):
        assert word in said
    for word in words:
        assert word in said.lower()
