"""Everything the agent tells the cloud of itself, put together, each in its order of urgency.

What may change while it runs: ``metrics_pace`` and the rules of ``uploader``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from agent.cloud.delivery import REPORTS, TELEMETRY, Delivery
from agent.config import Settings
from agent.gate import FileGate
from agent.journal.journal import SqliteJournal
from agent.journal.outbox import STREAMING
from agent.journal.uploads import Spent
from agent.samples.store import SampleStore
from agent.samples.upload import SampleUploader, UploadRules
from agent.store.files import Files
from agent.telemetry.document import ReleaseName
from agent.telemetry.metrics import MetricsReporter
from agent.telemetry.pace import Pace
from agent.telemetry.vitals import vitals
from agent.worker.versions import ModelVersions
from agent.worker_port.client import WorkerClient
from agent.worker_port.report import WorkerReport
from protocol.session import DeviceSession
from states.gates import Step
from states.ports import Worker


class Telling:
    """Reports, state, metrics and samples of one device.

    ``update_state`` tells where the update machine is, ``today`` the day (YYYY-MM-DD).
    """

    def __init__(
        self,
        settings: Settings,
        journal: SqliteJournal,
        session: DeviceSession,
        worker: Worker,
        *,
        gate: FileGate,
        update_state: Callable[[], str],
        today: Callable[[], str],
    ) -> None:
        self._state_dir = settings.device.state_dir
        self._journal = journal
        self._worker = worker
        self._gate = gate
        self._update_state = update_state
        self._deliveries = [
            Delivery(journal.outbox, session, urgency) for urgency in (REPORTS, TELEMETRY)
        ]
        self.metrics_pace = Pace(settings.telemetry.metrics_seconds)
        self.uploader = SampleUploader(
            UploadRules.of(settings.samples),
            SampleStore(self._state_dir, Files()),
            journal.uploads,
            session,
            obstacle=self._obstacle,
            today=today,
        )

    def parts(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What runs for ever."""
        for delivery in self._deliveries:
            yield delivery.run()
        yield self.uploader.run()
        # A script that is only signalled counts nothing.
        if isinstance(self._worker, WorkerClient):
            yield WorkerReport(self._worker, self._journal.outbox).run()
            yield self._metrics(self._worker).run()

    def _metrics(self, worker: WorkerClient) -> MetricsReporter:
        versions = ModelVersions(self._state_dir)

        def name(release: str) -> ReleaseName:
            sequence = self._journal.sequence_of(release)
            return ReleaseName(release, versions.of(release), sequence or None)

        return MetricsReporter(
            worker,
            self._journal.measurements,
            self.metrics_pace,
            name=name,
            device=lambda: vitals(self._state_dir),
        )

    def _obstacle(self, rules: UploadRules, spent: Spent) -> str | None:
        if self._journal.outbox.next(STREAMING) is not None:
            return "telemetry goes first"
        return rules.obstacle(self._update_state(), self._gate.closed(Step.DOWNLOAD), spent)
