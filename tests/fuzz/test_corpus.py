"""Every kept case through its oracle: what was found once is not found again."""

from __future__ import annotations

import pytest

from tests.fuzz.catalogue import TARGETS
from tests.fuzz.kept import kept_cases
from tests.fuzz.target import Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_unforeseen_comes_of_any_kept_case(target: Target) -> None:
    tried = 0
    with target.opened() as attempt:
        for name, case in kept_cases(target):
            try:
                attempt(case)
            except BaseException as error:
                error.add_note(f"the case is tests/fuzz/{name}")
                raise
            tried += 1
    assert tried
