"""What an examination found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from agent.config import Settings
from agent.credentials.known_time import KnownTime


class Level(StrEnum):
    """How bad it is: works, works but not well or not for long, does not work."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``next_step`` is for the person in front of the device."""

    level: Level
    text: str
    next_step: str | None = None
    group: str = ""


def ok(text: str) -> Finding:
    """It works."""
    return Finding(Level.OK, text)


def warning(text: str, next_step: str) -> Finding:
    """It works, but not well, or not for long."""
    return Finding(Level.WARNING, text, next_step)


def error(text: str, next_step: str) -> Finding:
    """It does not work."""
    return Finding(Level.ERROR, text, next_step)


def failed(problem: Exception) -> Finding:
    """It does not work; our errors carry their next step after the last semicolon."""
    text, _, advice = str(problem).rpartition("; ")
    return error(text or advice, advice if text else "see the log: journalctl -u edgeferry-agent")


@dataclass(frozen=True)
class Patient:
    """What is examined. ``agent_runs`` while an agent holds the state folder."""

    settings: Settings
    known_time: KnownTime
    agent_runs: bool


Examination = Callable[[Patient], Awaitable[Iterable[Finding]]]


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level of all; ok when there are none."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)


def document(findings: list[Finding]) -> dict[str, Any]:
    """What ``edgeferry doctor --json`` prints."""
    return {
        "worst": str(worst(findings)),
        "findings": [asdict(finding) for finding in findings],
    }
