"""What releases and devices call themselves is shown as it is, whatever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.commands.display import show_history, show_status, show_updates
from agent.commands.inspection import Inspector
from agent.commands.story import show_story
from agent.config import Settings
from agent.journal.journal import SqliteJournal
from agent.samples.display import show_samples
from agent.samples.store import Sample
from states.model import Deployment, Package, Release
from states.update import Transition, Update

ODD = "[/] [red]1 :smile:"


@pytest.fixture
def inspector(tmp_path: Path) -> Iterator[Inspector]:
    """Looks at a device that was offered a release with an odd version."""
    release = Release((Package("ai-model", ODD, "a" * 64, 1000),))
    update = Update(1, Deployment(7, release), fallback=None, detail=ODD)
    journal = SqliteJournal(tmp_path / "state.db", lambda _step, _at: [])
    journal.commit(Transition("offer", "idle", "manifest_received", update, detail=ODD))
    journal.close()
    settings = Settings.model_validate({"device": {"state_dir": tmp_path}})
    with closing(Inspector(settings)) as looking:
        yield looking


def show_all_samples(_: Inspector) -> None:
    """One sample, whose label is odd too."""
    top = [{"label": ODD, "confidence": 0.5}]
    document = {"top": top, "version": ODD, "why": "uncertain"}
    show_samples([Sample("sample-1", Path("sample-1.jpg"), document, 1)], None)


@pytest.mark.parametrize(
    "show",
    [
        lambda inspector: show_status(inspector.status()),
        lambda inspector: show_history(inspector.history(10)),
        lambda inspector: show_updates(inspector.updates(10)),
        lambda inspector: show_story(inspector.explain()),
        show_all_samples,
    ],
)
def test_a_name_that_looks_like_markup_is_shown_as_it_is(
    inspector: Inspector,
    show: Callable[[Inspector], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    show(inspector)
    assert ODD in capsys.readouterr().out
