"""What the operator wants of a device, written to LightDB State at ``.d/edgeferry/desired``.

``{"hold": "none" | "activation" | "everything"}``. Such a hold stands beside the one on the device
itself (``edgeferry hold``): the stricter of the two is in force, and neither lifts the other.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from agent.cloud.reporting import STATE_PATH
from agent.gate import read_hold
from agent.journal.facts import Facts
from agent.journal.outbox import Kind, Message, Outbox
from agent.service.refusals import left_out
from agent.wall_clock import utc_now
from protocol.formats import PlainValue, shown
from protocol.trouble import Trouble
from states.gates import Hold, stricter
from states.ports import Postponed

logger = logging.getLogger(__name__)

DESIRED_PATH, HOLD_PATH = f"{STATE_PATH}/desired", f"{STATE_PATH}/hold"
HOLD_FACT = "desired_hold"
LOOK_SECONDS = 5.0
"""How soon a hold put on or taken off on the device itself is told."""

_NAMES = {"none": Hold.NOTHING, "activation": Hold.ACTIVATION, "everything": Hold.EVERYTHING}
_WORDS = {hold: name for name, hold in _NAMES.items()}


@dataclass(frozen=True)
class Wish:
    """What a desired value says. ``hold`` is None where it says nothing that is understood."""

    hold: Hold | None
    error: str | None = None


def wish_of(value: PlainValue) -> Wish:
    """Read a desired value; null and an empty object want nothing."""
    if value is None:
        return Wish(Hold.NOTHING)
    if not isinstance(value, dict):
        return Wish(None, f'write an object like {{"hold": "activation"}}, not {shown(value)}')
    unknown = ", ".join(sorted(key for key in value if key != "hold"))
    error = f"unknown: {unknown:.80}; there is only hold" if unknown else None
    name = value.get("hold")
    if name is None:
        return Wish(Hold.NOTHING, error)
    if isinstance(name, str) and name in _NAMES:
        return Wish(_NAMES[name], error)
    return Wish(None, f"hold: write none, activation or everything, not {shown(name)}")


class DesiredHold:
    """The hold that is desired, remembered over restarts, and the account of what is in force."""

    def __init__(self, state_dir: Path, facts: Facts, outbox: Outbox) -> None:
        self._state_dir = state_dir
        self._facts = facts
        self._outbox = outbox
        self._hold = desired_hold(facts.fact(HOLD_FACT))
        self._error: str | None = None
        self._told = ""
        self._news = asyncio.Event()
        self._trouble = Trouble(logger, "telling what is on hold")

    @property
    def hold(self) -> Hold:
        """What is to be held back."""
        return self._hold

    def take(self, value: PlainValue) -> None:
        """A desired value has come; one that can't be understood leaves the hold as it is."""
        wish = wish_of(value)
        if wish.error is not None and wish.error != self._error:
            logger.warning("%s: %s", DESIRED_PATH, wish.error)
        self._error = wish.error
        if wish.hold is not None and wish.hold is not self._hold:
            self._hold = wish.hold
            logger.info("the operator wants on hold: %s", _WORDS[wish.hold])
            try:
                self._facts.note_fact(HOLD_FACT, str(wish.hold))
            except Postponed as trouble:
                logger.warning("the desired hold is known until the next start only: %s", trouble)
        self._news.set()

    async def run(self) -> None:
        """Tell what is in force whenever that changes, for ever."""
        while True:
            self._tell()
            self._news.clear()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _tell(self) -> None:
        body = json.dumps(account(read_hold(self._state_dir), self._hold, self._error))
        if body == self._told:
            return
        with left_out(self._trouble):
            self._outbox.put(Message(Kind.STATE, HOLD_PATH, body), utc_now())
            self._told = body


def account(device: Hold, desired: Hold, error: str | None) -> dict[str, str | None]:
    """The document at ``.d/edgeferry/hold``."""
    words = {"in_force": stricter(device, desired), "device": device, "desired": desired}
    return {**{name: _WORDS[hold] for name, hold in words.items()}, "error": error}


def desired_hold(fact: str | None) -> Hold:
    """The desired hold as the journal has it."""
    return Hold(fact) if fact else Hold.NOTHING
