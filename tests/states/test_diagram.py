"""The page of the machine in the docs is the machine's own."""

from __future__ import annotations

from pathlib import Path

from states.diagram import page
from states.machine import STATES, SUPERSEDABLE, UpdateMachine

DOCS = Path(__file__).parents[2] / "docs"


def test_the_generated_page_is_current() -> None:
    assert (DOCS / "state-machine.md").read_text() == page(), "run `make diagram`"


def test_every_supersedable_state_has_the_edge_for_it() -> None:
    sources = {str(edge.source.value) for edge in UpdateMachine.supersede._transitions}
    assert sources == SUPERSEDABLE
    assert SUPERSEDABLE < STATES
