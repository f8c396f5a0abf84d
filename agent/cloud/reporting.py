"""What each transition says to the operator: OTA reports and the device state document.

Golioth keeps one OTA state per package (``.u/c/<package>``); the document at ``.d/edgeferry`` says
the same for people, with the reason in words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from agent.journal.outbox import Kind, Message
from protocol.report import OtaReason, OtaReport, OtaState
from states.model import Release
from states.reasons import ABOUT_SIGNATURE, Rejection, Transient
from states.update import Outcome, Transition, Update

STATE_PATH = "edgeferry"
LONGEST_DETAIL = 200
"""Characters of a reason that are told; Golioth's messages hold 1024 bytes in all."""

_AT_WORK = {
    "download": OtaState.DOWNLOADING,
    "downloaded": OtaState.DOWNLOADED,
    "reuse": OtaState.DOWNLOADED,
    "accept": OtaState.UPDATING,
}
_STAGE = {
    "idle": OtaState.UPDATING,
    "downloading": OtaState.DOWNLOADING,
    "verifying": OtaState.DOWNLOADED,
    "activating": OtaState.UPDATING,
    "confirming": OtaState.UPDATING,
    "rolling-back": OtaState.UPDATING,
}
_REASON: dict[Rejection | Transient | None, OtaReason] = {
    Rejection.TOO_LARGE: OtaReason.NOT_ENOUGH_FLASH_MEMORY,
    Rejection.UNSUPPORTED_URI: OtaReason.INVALID_URI,
    Rejection.SIZE_MISMATCH: OtaReason.INTEGRITY_CHECK_FAILURE,
    Rejection.HASH_MISMATCH: OtaReason.INTEGRITY_CHECK_FAILURE,
    **dict.fromkeys(ABOUT_SIGNATURE, OtaReason.INTEGRITY_CHECK_FAILURE),
    Rejection.MODEL_UNSUPPORTED: OtaReason.UNSUPPORTED_PACKAGE_TYPE,
    Transient.LINK_LOST: OtaReason.CONNECTION_LOST,
    Transient.DISK_FULL: OtaReason.NOT_ENOUGH_FLASH_MEMORY,
    Transient.STORAGE_ERROR: OtaReason.IO,
    Transient.NO_RESOURCES: OtaReason.OUT_OF_RAM,
}
_FAILING = frozenset({"reject", "roll_back", "postpone", "demote"})
_WAITING = frozenset({"postpone", "restored_for_retry"})

ActiveRelease = Callable[[], Release | None]


class Announcer:
    """Turns a transition into outbox messages. ``active`` tells which release ``current`` names."""

    def __init__(self, active: ActiveRelease) -> None:
        self._active = active

    def __call__(self, transition: Transition, at: str) -> Iterator[Message]:
        """The messages of one transition made ``at`` (RFC 3339), in the order they are sent."""
        active = self._active()
        for report in reports(transition, active):
            yield report_message(report)
        yield Message(Kind.STATE, STATE_PATH, json.dumps(document(transition, active, at)))


def reports(transition: Transition, active: Release | None) -> Iterator[OtaReport]:
    """The OTA reports of a transition, for every package of its release."""
    update = transition.update
    if update is None:
        return
    release = update.deployment.release
    for state, reason in _codes(transition, update):
        settled = state is OtaState.IDLE and reason is OtaReason.READY
        for package in (active or release).packages if settled else release.packages:
            running = active.package(package.name) if active else None
            yield OtaReport(
                package=package.name,
                state=state,
                reason=reason,
                version=running.version if running else None,
                target=None if settled or transition.event == "confirm" else package.version,
            )


def idle_reports(active: Release | None) -> Iterator[Message]:
    """What a device with nothing under way says when it starts."""
    for package in active.packages if active else ():
        yield report_message(OtaReport(package=package.name, version=package.version))


def _codes(transition: Transition, update: Update) -> Iterator[tuple[OtaState, OtaReason]]:
    event = transition.event
    if event in _AT_WORK:
        yield _AT_WORK[event], OtaReason.READY
    if event == "confirm":
        # Said only now: a release that merely loaded is not a success.
        yield OtaState.UPDATING, OtaReason.FIRMWARE_UPDATED_SUCCESSFULLY
    if event in _FAILING and update.outcome is not Outcome.SUPERSEDED:
        stage = _STAGE.get(transition.source, OtaState.IDLE)
        yield stage, ota_reason(update.reason)
    if event in _WAITING:
        yield OtaState.IDLE, OtaReason.AWAIT_RETRY
    if transition.target == "idle":
        yield OtaState.IDLE, OtaReason.READY


def ota_reason(reason: Rejection | Transient | None) -> OtaReason:
    """What Golioth is told for a reason; most of ours are its "update failed"."""
    return _REASON.get(reason, OtaReason.FIRMWARE_UPDATE_FAILED)


def report_message(report: OtaReport) -> Message:
    """An OTA report as it waits in the outbox."""
    body = {
        "state": int(report.state),
        "reason": int(report.reason),
        "version": report.version,
        "target": report.target,
    }
    return Message(Kind.REPORT, report.package, json.dumps(body))


def report_of(message: Message) -> OtaReport:
    """The OTA report a message stands for."""
    body = json.loads(message.body)
    state, reason = OtaState(body["state"]), OtaReason(body["reason"])
    return OtaReport(message.topic, state, reason, body["version"], body["target"])


def document(transition: Transition, active: Release | None, at: str) -> dict[str, object]:
    """The device state document; null where there is nothing, since the cloud merges objects."""
    update = transition.update
    working = update is not None and transition.target != "idle"
    return {
        "state": transition.target,
        "since": at,
        "active": _brief(active),
        "target": _brief(update.deployment.release) if update is not None and working else None,
        "last_error": last_error(update),
    }


def last_error(update: Update | None) -> dict[str, str] | None:
    """The difficulty an update met, for people; short enough for one message."""
    if update is None or update.reason is None:
        return None
    detail = update.detail[:LONGEST_DETAIL]
    return {"release": update.release_id, "reason": str(update.reason), "detail": detail}


def _brief(release: Release | None) -> dict[str, object] | None:
    if release is None:
        return None
    return {"id": release.id, "versions": {p.name: p.version for p in release.packages}}


def describe(release: Release | None, sequence: int | None) -> dict[str, object] | None:
    """A release as the JSON contract shows it."""
    if release is None:
        return None
    packages = {
        p.name: {"version": p.version, "sha256": p.sha256, "size": p.size} for p in release.packages
    }
    return {"id": release.id, "sequence": sequence, "packages": packages}
