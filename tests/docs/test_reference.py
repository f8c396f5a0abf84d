"""The pages that are made from the code are the code's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.commands.words import REASONS
from commands.reference import PAGES
from states.reasons import Rejection, Transient

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_the_generated_page_is_current(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert (FOLDER / name).read_text() == PAGES[name](), "run `make reference`"


def test_every_reason_has_its_words() -> None:
    assert set(REASONS) == {*Rejection, *Transient}
