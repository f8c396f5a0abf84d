"""Why an update is refused, and what may heal by itself.

The values are written to the journal and shown to people; never rename one.
"""

from __future__ import annotations

import errno
from enum import StrEnum


class Rejection(StrEnum):
    """The content itself is at fault: remembered by content, never tried again by itself."""

    INCOMPLETE = "incomplete-release"
    TOO_LARGE = "too-large"
    UNSUPPORTED_URI = "unsupported-uri"
    SIZE_MISMATCH = "size-mismatch"
    HASH_MISMATCH = "hash-mismatch"
    SIGNATURE_MISSING = "signature-missing"
    SIGNATURE_MALFORMED = "signature-malformed"
    SIGNATURE_BAD = "signature-bad"
    SIGNATURE_UNKNOWN_KEY = "signature-unknown-key"
    SIGNATURE_MISMATCH = "signature-mismatch"
    SIGNATURE_REPLAYED = "signature-replayed"
    LABELS_INVALID = "labels-invalid"
    LABEL_COUNT_MISMATCH = "label-count-mismatch"
    MODEL_INVALID = "model-invalid"
    MODEL_UNSUPPORTED = "model-unsupported"
    MODEL_CRASHED = "model-crashed"
    MODEL_HUNG = "model-hung"
    MODEL_LEAKS = "model-leaks"
    MODEL_SETTINGS_INVALID = "model-settings-invalid"
    TOO_SLOW = "too-slow"
    GOLDEN_SET_INVALID = "golden-set-invalid"
    GOLDEN_SET_FAILED = "golden-set-failed"
    WORKER_REFUSED = "worker-refused"
    COMMIT_WINDOW_FAILED = "commit-window-failed"
    ENGINE_FAILING = "engine-failing"
    OPERATOR_ROLLBACK = "operator-rollback"
    DEADLINE = "deadline"
    CRASH_LOOP = "crash-loop"


ABOUT_SIGNATURE = frozenset(
    {
        Rejection.SIGNATURE_MISSING,
        Rejection.SIGNATURE_MALFORMED,
        Rejection.SIGNATURE_BAD,
        Rejection.SIGNATURE_UNKNOWN_KEY,
        Rejection.SIGNATURE_MISMATCH,
        Rejection.SIGNATURE_REPLAYED,
    }
)
"""Refusals of a signature: the same release may come again under another one."""


class Transient(StrEnum):
    """The surroundings are at fault: the same content is tried again later."""

    LINK_LOST = "link-lost"
    SERVER_ERROR = "server-error"
    NOT_FOUND = "not-found"
    DISK_FULL = "disk-full"
    STORAGE_ERROR = "storage-error"
    NO_RESOURCES = "no-resources"
    CLOCK_WRONG = "clock-wrong"
    WORKER_AWAY = "worker-away"
    NO_FRAMES = "no-frames"
    ENGINE_SILENT = "engine-silent"
    ENGINE_LATE = "engine-late"
    STALLED = "stalled"
    INTERNAL_ERROR = "internal-error"


_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})


def is_shortage(error: Exception) -> bool:
    """Whether the machine was short of memory, processes or descriptors, and no more than that."""
    if isinstance(error, OSError):
        return error.errno in _SHORTAGES
    # Python has no error of its own for a thread that the machine refuses.
    return isinstance(error, MemoryError) or "start new thread" in str(error)
