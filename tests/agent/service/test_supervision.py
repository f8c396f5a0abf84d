from __future__ import annotations

import pytest

from agent.service.supervision import status_text
from states.machine import STATES
from states.model import Deployment, Package, Release
from states.update import Update


def package(name: str, version: str) -> Package:
    return Package(name, version, "ab" * 32, 1000, f"/.u/c/{name}@{version}")


LABELS = package("labels", "1")
FIRST = Release((package("ai-model", "1"), LABELS))
SECOND = Release((package("ai-model", "2"), LABELS))
UPDATE = Update(1, Deployment(2, SECOND), None)


@pytest.mark.parametrize(
    ("state", "update", "active", "text"),
    [
        ("idle", None, None, "nothing was deployed yet"),
        ("idle", None, FIRST, "serving ai-model 1 and labels 1"),
        ("downloading", UPDATE, FIRST, "downloading ai-model 2, 63 %"),
        ("downloading", UPDATE, None, "downloading ai-model 2 and labels 1, 63 %"),
        ("verifying", UPDATE, FIRST, "proving ai-model 2"),
        ("activating", UPDATE, FIRST, "switching to ai-model 2"),
        ("confirming", UPDATE, SECOND, "watching ai-model 2 and labels 1"),
    ],
)
def test_the_line_says_what_the_agent_does(
    state: str, update: Update | None, active: Release | None, text: str
) -> None:
    assert status_text(state, update, active, 63) == text


def test_a_wait_says_what_for() -> None:
    waiting = Update(1, Deployment(2, SECOND), None, detail="the link is down")
    assert status_text("awaiting-retry", waiting, FIRST, 0) == (
        "waiting to try ai-model 2 again: the link is down"
    )


def test_every_state_has_its_words() -> None:
    for state in sorted(STATES):
        assert "ai-model 2" in status_text(state, UPDATE, FIRST, 0)
