"""The update state machine: every state and every edge, and nothing else.

    offer       a manifest with other content than what serves
    supersede   a newer manifest takes the place of an unfinished update
    cancel      the deployment was withdrawn
    postpone    the surroundings are at fault; the same content is tried again
    reject      the content is at fault; it is remembered
    hold        a person or a time window says: not now
    demote      what serves keeps failing, or an operator wants to leave it

The machine is synchronous on purpose: a transition is one database transaction followed by one
assignment, with no point in between where a cancelled task could leave it in no state at all.
The work of a state is asynchronous and lives in :mod:`states.conductor`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from statemachine import State, StateMachine

Commit = Callable[[str, str, str], None]


class UpdateMachine(StateMachine):
    """Walks one update through its states; ``commit(event, source, target)`` runs first.

    Database first, memory second: when ``commit`` raises, the machine stays where it was.
    """

    catch_errors_as_events = False
    atomic_configuration_update = True
    allow_event_without_transition = False

    idle = State("Idle", value="idle", initial=True)
    manifest_received = State("ManifestReceived", value="manifest-received")
    downloading = State("Downloading", value="downloading")
    verifying = State("Verifying", value="verifying")
    activating = State("Activating", value="activating")
    confirming = State("Confirming", value="confirming")
    rolling_back = State("RollingBack", value="rolling-back")
    reporting = State("Reporting", value="reporting")
    awaiting_retry = State("AwaitingRetry", value="awaiting-retry")
    held = State("Held", value="held")

    offer = idle.to(manifest_received)
    discard = manifest_received.to(idle)
    download = manifest_received.to(downloading)
    reuse = manifest_received.to(verifying)
    downloaded = downloading.to(verifying)
    accept = verifying.to(activating)
    switched = activating.to(confirming)
    confirm = confirming.to(reporting)
    roll_back = activating.to(rolling_back) | confirming.to(rolling_back)
    demote = idle.to(rolling_back)
    restored = rolling_back.to(reporting)
    restored_for_retry = rolling_back.to(awaiting_retry)
    reject = (
        manifest_received.to(reporting)
        | downloading.to(reporting)
        | verifying.to(reporting)
        | awaiting_retry.to(reporting)
    )
    postpone = (
        manifest_received.to(awaiting_retry)
        | downloading.to(awaiting_retry)
        | verifying.to(awaiting_retry)
        | activating.to(awaiting_retry)
    )
    retry = awaiting_retry.to(manifest_received)
    hold = manifest_received.to(held) | downloading.to(held) | verifying.to(held)
    release = held.to(manifest_received)
    supersede = (
        downloading.to(manifest_received)
        | verifying.to(manifest_received)
        | awaiting_retry.to(manifest_received)
        | held.to(manifest_received)
    )
    cancel = (
        manifest_received.to(reporting)
        | downloading.to(reporting)
        | verifying.to(reporting)
        | awaiting_retry.to(reporting)
        | held.to(reporting)
    )
    reported = reporting.to(idle)

    def __init__(self, state: str, commit: Commit) -> None:
        self._commit = commit
        super().__init__(start_value=state)

    def before_transition(self, event: Any, source: State, target: State) -> None:
        """Write the transition down before it happens."""
        self._commit(str(event), str(source.value), str(target.value))


STATES = frozenset(str(state.value) for state in UpdateMachine.states)
"""Every state a journal may hold; anything else on disk means clean up and go to a safe state."""

SUPERSEDABLE = frozenset({"downloading", "verifying", "awaiting-retry", "held"})
"""States in which nothing has been switched yet, so a newer manifest may simply take over."""
