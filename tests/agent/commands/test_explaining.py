"""Every kind of ending is told from the journal alone, in words a tired person understands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.commands.explaining import Explainer, NothingToExplain, Present
from agent.commands.story import FIRST_STEPS, LAST_STEPS, show_story
from agent.commands.words import EVENTS, REASONS
from agent.journal.journal import SqliteJournal
from agent.journal.opening import open_for_reading
from states.machine import UpdateMachine
from states.model import Deployment, Package, Release
from states.reasons import Rejection, Transient
from states.update import Outcome, Transition, Update

PACKAGES = (Package("ai-model", "2", "a" * 64, 1000), Package("labels", "1", "b" * 64, 20))
UPDATE = Update(1, Deployment(7, Release(PACKAGES)), fallback="f" * 16)
NOWHERE = Present("idle", None, "f" * 16, running=True, next_try_in_s=None)


def story(
    path: Path, steps: list[tuple[str, str, str, Update]], present: Present = NOWHERE
) -> dict[str, object]:
    journal = SqliteJournal(path, lambda _step, _at: [])
    for event, source, target, update in steps:
        journal.commit(Transition(event, source, target, update, detail=update.detail))
    journal.close()
    db = open_for_reading(path)
    explainer = Explainer(lambda query, *values: list(db.query(query, list(values))), present)
    told = explainer.explain(None)
    db.close()
    return told


BAD = replace(
    UPDATE, outcome=Outcome.ROLLED_BACK, reason=Rejection.ENGINE_FAILING, detail="[crash]"
)
LOST = replace(UPDATE, reason=Transient.LINK_LOST, detail="silent for 30 s", retry_delay=60.0)
ENDINGS = [
    ("confirm", "confirming", replace(UPDATE, outcome=Outcome.CONFIRMED), "Confirmed"),
    ("demote", "idle", BAD, "Went back to ffffffffffffffff: it kept failing while it served"),
    (
        "reject",
        "verifying",
        replace(UPDATE, outcome=Outcome.REJECTED, reason=Rejection.TOO_SLOW, detail="90 ms"),
        "Refused before anything was switched: it is too slow on this device: 90 ms.",
    ),
    (
        "supersede",
        "downloading",
        replace(UPDATE, outcome=Outcome.SUPERSEDED, detail="sequence 8 was deployed"),
        "Given up for a newer deployment: sequence 8 was deployed.",
    ),
    (
        "cancel",
        "held",
        replace(UPDATE, outcome=Outcome.CANCELLED, detail="gone"),
        "Broken off: gone.",
    ),
    ("discard", "manifest-received", replace(UPDATE, outcome=Outcome.UNNEEDED), "Nothing to do"),
]


@pytest.mark.parametrize(("event", "source", "update", "verdict"), ENDINGS)
def test_every_ending_has_its_words(
    tmp_path: Path,
    event: str,
    source: str,
    update: Update,
    verdict: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = story(tmp_path / "state.db", [(event, source, "reporting", update)])
    assert str(told["verdict"]).startswith(verdict)
    show_story(told)
    assert verdict in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(
    ("state", "update", "said"),
    [
        ("downloading", UPDATE, "Under way: downloading."),
        ("awaiting-retry", LOST, "Waits to be tried again: the link to the cloud was lost: silent"),
        ("held", replace(UPDATE, detail="waits for 22:00-06:00"), "Has to wait: waits for 22:00"),
        ("confirming", UPDATE, "Serves on probation"),
    ],
)
def test_an_update_under_way_says_what_it_waits_for(
    tmp_path: Path, state: str, update: Update, said: str
) -> None:
    present = Present(state, 1, "f" * 16, running=False, next_try_in_s=34.0)
    told = story(tmp_path / "state.db", [("go", "idle", state, update)], present)
    assert str(told["verdict"]).startswith(said)
    hints = told["next"]
    assert isinstance(hints, list)
    assert ("within 34 s" in hints[0]) is (state == "awaiting-retry")
    assert "No agent runs" in hints[-1]


def test_what_was_rejected_says_how_to_clear_it(tmp_path: Path) -> None:
    told = story(tmp_path / "state.db", [("demote", "idle", "rolling-back", BAD)])
    assert f"`edgeferry retry {UPDATE.release_id}`" in str(told["next"])


def test_a_long_story_is_shortened_on_the_screen_and_whole_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there_and_back = [
        ("postpone", "downloading", "awaiting-retry", LOST),
        ("retry", "awaiting-retry", "manifest-received", UPDATE),
    ]
    told = story(tmp_path / "state.db", there_and_back * 30)
    assert isinstance(told["steps"], list)
    assert len(told["steps"]) == 60
    show_story(told)
    assert f"… {60 - FIRST_STEPS - LAST_STEPS} more" in capsys.readouterr().out


def test_an_update_is_found_by_number_and_by_the_beginning_of_its_release(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    story(path, [("offer", "idle", "manifest-received", UPDATE)])
    db = open_for_reading(path)
    explainer = Explainer(lambda query, *values: list(db.query(query, list(values))), NOWHERE)
    for named in ("1", UPDATE.release_id, UPDATE.release_id[:6]):
        assert explainer.explain(named)["update"] == 1
    with pytest.raises(NothingToExplain, match="no update 99"):
        explainer.explain("99")
    db.close()


def test_no_reason_and_no_event_is_without_words() -> None:
    assert set(REASONS) == {*Rejection, *Transient}
    edges = (edge for state in UpdateMachine.states for edge in state.transitions)
    assert set(EVENTS) >= {event.id for edge in edges for event in edge.events}
