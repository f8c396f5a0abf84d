"""What may go wrong in the worker, apart from bad content (:class:`states.ports.Rejected`).

WorkerError
 ├ RuntimeUnavailable   no TFLite runtime works on this machine
 ├ SourceError          the camera, film or folder gives no pictures (for now)
 └ EngineFailed         an engine process crashed, hung or answered nonsense
    └ EngineSilent      it has not answered soon enough; it may yet
"""

from __future__ import annotations

from typing import ClassVar

from states.reasons import Rejection


class WorkerError(Exception):
    """Base of the worker's own errors."""

    exit_status: ClassVar[int] = 1


class RuntimeUnavailable(WorkerError):  # noqa: N818 - reads as what happened
    """No TFLite runtime could build an interpreter; the text says what was tried."""


class SourceError(WorkerError):
    """The source gives no pictures; the text says why and what to do."""


class EngineFailed(WorkerError):  # noqa: N818
    """An engine process died, was silent for too long or could not classify a frame."""

    def __init__(self, reason: Rejection, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class EngineSilent(EngineFailed):
    """An engine process did not answer as soon as it must while another can take over."""
