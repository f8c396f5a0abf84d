"""Which remote calls were begun, over the agent's own end.

A call that changes what serves must not be carried out twice: a second rollback goes back further.
Nothing in Golioth's documents says that a call can't come again after the device was started anew.
"""

from __future__ import annotations

import json

from agent.journal.facts import Facts

BEGUN_FACT = "calls"
KEPT = 16


class BegunBefore(Exception):  # noqa: N818 - reads as what happened
    """An agent that has ended since began this call, and maybe finished it."""


class BegunCalls:
    """Notes calls before they begin; the last ones are kept."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._ids: list[str] = json.loads(facts.fact(BEGUN_FACT) or "[]")
        self._before = frozenset(self._ids)

    def begin(self, call_id: str) -> None:
        """It is about to be carried out. Raises BegunBefore, or Postponed when the disk refuses."""
        if call_id in self._before:
            raise BegunBefore(
                "this call came before the agent was started again, and may have been carried out "
                "then; look at status and explain, and call anew if it is still wanted"
            )
        ids = [*self._ids, call_id][-KEPT:]
        self._facts.note_fact(BEGUN_FACT, json.dumps(ids))
        self._ids = ids
