"""What the operator is told, step by step, in Golioth's codes and in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.cloud.reporting import document, report_message, report_of, reports
from protocol.formats import ContentFormat
from protocol.report import OtaReason, OtaReport, OtaState
from protocol.values import encode_value
from states.model import Deployment, Package, Release
from states.reasons import Rejection, Transient
from states.update import Outcome, Transition, Update


def release(version: str) -> Release:
    names = ("ai-model", "labels")
    return Release(tuple(Package(name, version, version.rjust(64, "0"), 10) for name in names))


OLD, NEW = release("1"), release("2")
UPDATE = Update(3, Deployment(9, NEW), fallback=OLD.id)


def told(
    transition: Transition, active: Release | None = OLD
) -> list[tuple[str, str, str | None, str | None]]:
    """State, reason, version and target as told for the model."""
    return [
        (r.state.name, r.reason.name, r.version, r.target)
        for r in reports(transition, active)
        if r.package == "ai-model"
    ]


def step(event: str, source: str, target: str, **changes: object) -> Transition:
    return Transition(event, source, target, replace(UPDATE, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "source", "target", "state"),
    [
        ("download", "manifest-received", "downloading", "DOWNLOADING"),
        ("downloaded", "downloading", "verifying", "DOWNLOADED"),
        ("reuse", "manifest-received", "verifying", "DOWNLOADED"),
        ("accept", "verifying", "activating", "UPDATING"),
    ],
)
def test_each_step_is_told_with_the_running_and_the_wanted_version(
    event: str, source: str, target: str, state: str
) -> None:
    assert told(step(event, source, target)) == [(state, "READY", "1", "2")]


def test_success_is_told_only_when_the_commit_window_has_passed() -> None:
    assert told(step("switched", "activating", "confirming"), NEW) == []
    confirmed = step("confirm", "confirming", "reporting", outcome=Outcome.CONFIRMED)
    assert told(confirmed, NEW) == [("UPDATING", "FIRMWARE_UPDATED_SUCCESSFULLY", "2", None)]
    assert told(step("reported", "reporting", "idle"), NEW) == [("IDLE", "READY", "2", None)]


@pytest.mark.parametrize(
    ("reason", "source", "expected"),
    [
        (Rejection.HASH_MISMATCH, "downloading", ("DOWNLOADING", "INTEGRITY_CHECK_FAILURE")),
        (Rejection.LABEL_COUNT_MISMATCH, "verifying", ("DOWNLOADED", "FIRMWARE_UPDATE_FAILED")),
        (Rejection.TOO_LARGE, "manifest-received", ("IDLE", "NOT_ENOUGH_FLASH_MEMORY")),
        (Rejection.UNSUPPORTED_URI, "downloading", ("DOWNLOADING", "INVALID_URI")),
    ],
)
def test_a_refusal_is_told_with_its_stage_and_reason(
    reason: Rejection, source: str, expected: tuple[str, str]
) -> None:
    assert told(step("reject", source, "reporting", reason=reason)) == [(*expected, "1", "2")]


def test_a_roll_back_is_told_as_a_failed_update() -> None:
    failed = step("roll_back", "confirming", "rolling-back", reason=Rejection.COMMIT_WINDOW_FAILED)
    assert told(failed, NEW) == [("UPDATING", "FIRMWARE_UPDATE_FAILED", "2", "2")]


def test_leaving_a_release_that_kept_failing_is_told_as_a_failed_update() -> None:
    left = step("demote", "idle", "rolling-back", reason=Rejection.ENGINE_FAILING)
    assert told(left, NEW) == [("UPDATING", "FIRMWARE_UPDATE_FAILED", "2", "2")]


def test_a_wait_is_told_with_its_cause() -> None:
    waiting = step("postpone", "downloading", "awaiting-retry", reason=Transient.LINK_LOST)
    assert told(waiting) == [
        ("DOWNLOADING", "CONNECTION_LOST", "1", "2"),
        ("IDLE", "AWAIT_RETRY", "1", "2"),
    ]


def test_a_superseded_update_is_not_told_as_a_failure() -> None:
    given_up = step("roll_back", "confirming", "rolling-back", outcome=Outcome.SUPERSEDED)
    assert told(given_up, NEW) == []


def test_a_first_update_has_no_running_version() -> None:
    first = step("download", "manifest-received", "downloading")
    assert told(first, None) == [("DOWNLOADING", "READY", None, "2")]


def test_the_state_document_names_both_releases_and_the_trouble_and_fits_one_message() -> None:
    waiting = step(
        "postpone", "downloading", "awaiting-retry", reason=Transient.LINK_LOST, detail="x" * 900
    )
    said = document(waiting, OLD, "2026-01-01T00:00:00Z")
    assert said["state"] == "awaiting-retry"
    assert isinstance(said["active"], dict)
    assert isinstance(said["target"], dict)
    assert said["active"]["id"] == OLD.id
    assert said["target"]["id"] == NEW.id
    assert len(encode_value(said, ContentFormat.CBOR)) <= 1024
    message = report_message(OtaReport())
    assert report_of(message) == OtaReport(state=OtaState.IDLE, reason=OtaReason.READY)
    done = document(step("reported", "reporting", "idle"), NEW, "2026-01-01T00:00:00Z")
    assert done["target"] is None
