"""Reasons, states and events in plain words, for people."""

from __future__ import annotations

from states.reasons import Rejection, Transient

REASONS: dict[str, str] = {
    Rejection.INCOMPLETE: "the deployment lacks a package this device needs",
    Rejection.TOO_LARGE: "it is larger than this device takes",
    Rejection.UNSUPPORTED_URI: "the address of a file is of no kind this device knows",
    Rejection.SIZE_MISMATCH: "a file has not the size the manifest names",
    Rejection.HASH_MISMATCH: "a file is not what the manifest names",
    Rejection.SIGNATURE_MISSING: "the deployment is not signed",
    Rejection.SIGNATURE_MALFORMED: "the signature package holds no signature",
    Rejection.SIGNATURE_BAD: "the signature is wrong",
    Rejection.SIGNATURE_UNKNOWN_KEY: "no key that this device trusts signed it",
    Rejection.SIGNATURE_MISMATCH: "the signature is one of another release",
    Rejection.SIGNATURE_REPLAYED: "the signature was replaced by a newer one",
    Rejection.LABELS_INVALID: "the labels file is faulty",
    Rejection.LABEL_COUNT_MISMATCH: "model and labels do not fit together",
    Rejection.MODEL_INVALID: "the model can't be loaded",
    Rejection.MODEL_UNSUPPORTED: "the model needs what this device's runtime has not",
    Rejection.MODEL_CRASHED: "the model crashed",
    Rejection.MODEL_LEAKS: "the model takes ever more memory",
    Rejection.MODEL_HUNG: "the model did not answer in time",
    Rejection.MODEL_SETTINGS_INVALID: "the release's model.json is faulty",
    Rejection.TOO_SLOW: "it is too slow on this device",
    Rejection.GOLDEN_SET_INVALID: "the golden set can't be used",
    Rejection.GOLDEN_SET_FAILED: "it does not know the golden set well enough",
    Rejection.WORKER_REFUSED: "the worker refused it",
    Rejection.COMMIT_WINDOW_FAILED: "it failed its commit window",
    Rejection.ENGINE_FAILING: "it kept failing while it served",
    Rejection.OPERATOR_ROLLBACK: "an operator went back",
    Rejection.DEADLINE: "a step took longer than it may",
    Rejection.CRASH_LOOP: "the agent did not survive a step, again and again",
    Transient.LINK_LOST: "the link to the cloud was lost",
    Transient.SERVER_ERROR: "the cloud answered with an error",
    Transient.NOT_FOUND: "the cloud does not have a file (yet)",
    Transient.DISK_FULL: "the disk is full",
    Transient.STORAGE_ERROR: "the disk can't be read or written",
    Transient.NO_RESOURCES: "the device is short of memory, processes or open files",
    Transient.CLOCK_WRONG: "the clock is wrong",
    Transient.WORKER_AWAY: "the worker is away",
    Transient.NO_FRAMES: "the camera gives no frames",
    Transient.ENGINE_SILENT: "the model was silent, and it is not known yet why",
    Transient.ENGINE_LATE: "the model answered too late; the device may have been too busy",
    Transient.STALLED: "the download did not get on",
    Transient.INTERNAL_ERROR: "an error in the agent itself",
}

EVENTS: dict[str, str] = {
    "offer": "the manifest offered it",
    "download": "files to fetch",
    "reuse": "all files on disk",
    "downloaded": "all files there and verified",
    "accept": "passed its trial",
    "switched": "it serves",
    "confirm": "passed the commit window",
    "roll_back": "went back",
    "demote": "had to leave",
    "restored": "the release before serves",
    "restored_for_retry": "the release before serves for now",
    "reject": "refused",
    "postpone": "put off",
    "retry": "tried again",
    "hold": "not now",
    "release": "may go on",
    "supersede": "another deployment came",
    "cancel": "broken off",
    "discard": "not needed",
    "reported": "done",
    "recover": "put in order after a start",
}


def reason_in_words(reason: str | None, detail: str) -> str:
    """A reason with its detail, as a sentence without its full stop."""
    words = REASONS.get(reason or "", reason or "")
    return ": ".join(part for part in (words, detail) if part)


def span(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
