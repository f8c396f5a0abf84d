"""Which errors are told as a line, with which exit status; all others are defects."""

from __future__ import annotations

import sys

import pytest

from agent.commands.explaining import NothingToExplain
from agent.commands.orders_client import AgentNotAsked
from agent.errors import ConfigurationError
from agent.journal.opening import NewerJournalError
from agent.store.lock import StateDirectoryBusy
from agent.worker.errors import SourceError
from commands import main
from commands.checking import ReleaseUnfit
from protocol.errors import CredentialError, HandshakeTimedOut
from provisioning.errors import NotFound, WouldOverwrite, WrongUsage
from states.ports import Postponed, Rejected


@pytest.mark.parametrize(
    ("status", "errors"),
    [
        (2, (ConfigurationError, CredentialError, WrongUsage)),
        (1, (AgentNotAsked, NewerJournalError, NothingToExplain, StateDirectoryBusy)),
        (1, (SourceError, Postponed, WouldOverwrite, NotFound, ReleaseUnfit)),
        # Whoever asked has to make something of these.
        (None, (HandshakeTimedOut, Rejected, ValueError)),
    ],
)
def test_an_error_says_its_exit_status_itself(
    status: int | None, errors: tuple[type[Exception], ...]
) -> None:
    for error in errors:
        assert main.exit_status_of(error.__new__(error)) == status, error


@pytest.fixture
def hidden_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``main`` does to its process is undone: tests of the same process need pandas."""
    monkeypatch.setitem(sys.modules, "pandas", sys.modules.get("pandas"))


class ToldError(Exception):
    exit_status = 2


@pytest.mark.usefixtures("hidden_pandas")
def test_a_told_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def app() -> None:
        raise ToldError("agent.toml: unknown key; remove it")

    monkeypatch.setattr(main, "app", app)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "edgeferry: agent.toml: unknown key; remove it\n"


@pytest.mark.usefixtures("hidden_pandas")
def test_a_defect_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def app() -> None:
        raise KeyError("release")

    monkeypatch.setattr(main, "app", app)
    with pytest.raises(KeyError):
        main.main()
