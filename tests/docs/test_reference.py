"""The pages that are made from the code are the code's own."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

import pytest

from agent.commands.words import REASONS
from commands.reference import PAGES
from commands.reference.licence_page import needed_licences
from states.reasons import Rejection, Transient

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


OF_ONE_PYTHON = {"licences.md"}
"""What is installed differs from one Python, and one machine, to the next."""
ITS_PYTHON = sys.version_info[:2] == (3, 11) and platform.machine() == "x86_64"

PERMITTED = {
    *("0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0"),
    *("MPL-2.0", "PSF-2.0", "Public Domain", "Unlicense", "Zlib"),
}
EXPLAINED = {"docutils": "GPL"}
"""What the page has a sentence about."""


@pytest.mark.parametrize("name", PAGES)
def test_the_generated_page_is_current(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in OF_ONE_PYTHON and not ITS_PYTHON:
        pytest.skip("the page is made with Python 3.11 on x86-64")
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert (FOLDER / name).read_text() == PAGES[name](), "run `make reference`"


def test_everything_that_is_needed_goes_with_our_licence() -> None:
    for package, licence in needed_licences().items():
        parts = set(re.split(r" (?:and|or) |[()]", licence, flags=re.IGNORECASE)) - {""}
        unknown = parts - PERMITTED - {EXPLAINED.get(package)}
        assert not unknown, f"{package} is under {licence}: look whether it may be used"


def test_every_reason_has_its_words() -> None:
    assert set(REASONS) == {*Rejection, *Transient}
