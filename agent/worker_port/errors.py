"""What may go wrong between agent and worker, beside what the law knows of."""

from __future__ import annotations

from states.ports import Postponed
from states.reasons import Transient


class WorkerProtocolError(Postponed):
    """The worker's answer is not the agreed protocol: another version, or a defect.

    To the law such a worker is away, until one is started that it gets on with.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(Transient.WORKER_AWAY, detail)
