"""The parts of the agent put together."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack, suppress
from functools import partial

from agent.cloud.manifests import deployment_of
from agent.cloud.progress import ProgressKeeper
from agent.cloud.reporting import Announcer, idle_reports
from agent.config import Settings
from agent.credentials.identity import DeviceIdentity
from agent.diag.secrets import scrubbed, secrets_of
from agent.download.checkpoint import CheckpointPace
from agent.download.delta_fetcher import DeltaFetcher
from agent.download.downloader import Downloader, DownloadSettings
from agent.gate import FileGate
from agent.journal.journal import SqliteJournal
from agent.journal.opening import JOURNAL_FILE
from agent.operations import Operations
from agent.operator_socket import answer_operators
from agent.parts import open_store, worker_of
from agent.remote.begun import BegunCalls
from agent.remote.calls import RemoteCalls
from agent.remote.cloud_log import CloudLog
from agent.remote.desired import DESIRED_PATH, DesiredHold
from agent.remote.live_settings import LiveSettings
from agent.samples.upload import UploadRules
from agent.service.liveness import Liveness, stall_seconds
from agent.service.logs import CLOUD, STANDARD_ERROR, set_level
from agent.service.notify import notify
from agent.service.refusals import left_out
from agent.service.supervision import Supervision
from agent.store.releases import ReleaseDamaged
from agent.telling import Telling
from agent.trial.verifier import ReleaseVerifier
from agent.trust.documents import SignatureDocuments
from agent.wall_clock import utc_now
from agent.worker_port.client import WorkerClient
from agent.worker_port.log_lines import WorkerLines
from agent.worker_port.tuning import SampleTuning
from protocol.errors import ProtocolError
from protocol.manifest import Manifest
from protocol.session import DeviceSession, SessionSettings
from protocol.subscriptions import Subscriptions
from protocol.trouble import Trouble
from states.conductor import Conductor
from states.model import Release
from states.ports import Ports, Postponed
from states.reasons import Transient

logger = logging.getLogger(__name__)

WORKER_LOOK_SECONDS = 1.0


class LoopClock:
    """Implements :class:`states.ports.Clock` with the event loop's own time."""

    async def sleep(self, seconds: float) -> None:
        """Return after that time."""
        await asyncio.sleep(seconds)


class Agent:
    """Everything one device runs. Open files are closed by ``resources``."""

    def __init__(self, settings: Settings, resources: ExitStack) -> None:
        self._settings = settings
        self._policy = settings.policy()
        self._store = open_store(settings)
        self._store.prepare()
        journal_path = settings.device.state_dir / JOURNAL_FILE
        self._journal = SqliteJournal(
            journal_path,
            Announcer(self._active_release),
            stream_bytes=settings.telemetry.queue_bytes,
        )
        resources.callback(self._journal.close)
        self.live = LiveSettings(settings, self._journal)
        """The configuration with what the operator has set."""
        self._identity = DeviceIdentity(settings.golioth, settings.device.state_dir, self._journal)
        self.desired = DesiredHold(settings.device.state_dir, self._journal, self._journal.outbox)
        """What the operator wants held back."""
        self._cloud_log = CloudLog(partial(scrubbed, secrets=secrets_of(settings)))
        logging.getLogger().addHandler(self._cloud_log)
        resources.callback(logging.getLogger().removeHandler, self._cloud_log)
        self._calls = RemoteCalls(BegunCalls(self._journal), allow=settings.remote.allow)
        self._session = self._open_session()
        self._worker = worker_of(settings, self._store)
        self._progress = ProgressKeeper(self._journal, self._session)
        self._gate = FileGate(
            settings.device.state_dir, settings.gates(), desired=lambda: self.desired.hold
        )
        self._conductor = Conductor(self._ports(), self._policy, self._progress.on_progress)
        self._telling = Telling(
            settings,
            self._journal,
            self._session,
            self._worker,
            gate=self._gate,
            update_state=lambda: self._conductor.state,
            today=lambda: self._identity.now().date().isoformat(),
        )
        self._follow_settings()

    def _open_session(self) -> DeviceSession:
        golioth = self._settings.golioth
        host, port = golioth.address
        return DeviceSession(
            host,
            port,
            self._identity.read,
            now=self._identity.now,
            settings=SessionSettings(
                requests_per_second=golioth.requests_per_second or None,
                poll_interval=golioth.poll_seconds,
                keepalive_interval=golioth.keep_alive_seconds,
                handshake_timeout=golioth.handshake_seconds,
            ),
            on_manifest=self._on_manifest,
            on_connection=self._on_connection,
            subscriptions=Subscriptions(
                self.live.take, self._calls.take, {DESIRED_PATH: self.desired.take}
            ),
        )

    def _follow_settings(self) -> None:
        live, policy = self.live, self._policy
        live.follow(
            lambda s: s.update.window_limits(),
            lambda limits: self._conductor.go_by(policy.with_window(limits)),
        )
        live.follow(lambda s: s.download.bytes_per_second or None, self._session.limit_bytes)
        live.follow(lambda s: s.log.level, partial(set_level, STANDARD_ERROR))
        live.follow(lambda s: s.log.cloud_level, partial(set_level, CLOUD))
        live.follow(lambda s: s.telemetry.metrics_seconds, self._telling.metrics_pace.change)
        live.follow(lambda s: UploadRules.of(s.samples), self._telling.uploader.go_by)

    def _ports(self) -> Ports:
        settings, store = self._settings, self._store
        download, device = settings.download, settings.device
        downloader = Downloader(
            store,
            self._journal.checkpoints,
            self._session,
            DownloadSettings(
                in_flight=download.in_flight or None,
                pace=CheckpointPace(download.checkpoint_blocks, download.checkpoint_seconds),
            ),
        )
        self._progress.count(downloader)
        verifier = ReleaseVerifier(store, settings.worker, device.names, settings.update)
        self.live.follow(lambda s: s.update, partial(setattr, verifier, "proof"))
        fetcher = DeltaFetcher(downloader, store, self._journal.checkpoints)
        return Ports(
            journal=self._journal,
            store=store,
            fetcher=fetcher,
            signatures=SignatureDocuments(store, device.names.handled),
            verifier=verifier,
            worker=self._worker,
            gate=self._gate,
            clock=LoopClock(),
        )

    def _active_release(self) -> Release | None:
        active = self._store.active()
        if active is None:
            return None
        try:
            return self._store.read_release(active)
        except ReleaseDamaged as damage:
            # It serves on; the next deployment of the same content repairs its folder.
            logger.error("%s", damage)
            return None

    def _on_manifest(self, manifest: Manifest) -> None:
        self._identity.on_answer()
        device, signed = self._settings.device, bool(self._policy.trusted_keys)
        signature_package = device.signature_package if signed else None
        self._conductor.offer(deployment_of(manifest, device.names.handled, signature_package))

    def _on_connection(self, connected: bool, error: ProtocolError | None) -> None:
        self._identity.on_connection(connected, error)
        self._progress.on_connection(connected, error)
        update = self._conductor.update
        if connected and update is not None and update.reason is Transient.LINK_LOST:
            self._conductor.wake()

    async def _await_worker(self) -> None:
        """End a wait for the worker as soon as it is back, instead of when the wait is over."""
        while True:
            await asyncio.sleep(WORKER_LOOK_SECONDS)
            update = self._conductor.update
            if self._conductor.state != "awaiting-retry" or update is None:
                continue
            if update.reason is Transient.WORKER_AWAY:
                with suppress(Postponed):
                    await self._worker.figures()
                    self._conductor.wake()

    def _supervision(self) -> Supervision:
        liveness = Liveness(self._policy.deadlines)
        requests = self._settings.golioth.requests_per_second
        self.live.follow(
            lambda s: stall_seconds(s.download.bytes_per_second, requests),
            partial(setattr, liveness, "stall_seconds"),
        )
        return Supervision(self._conductor, self._progress, liveness, self._active_release)

    async def run(self) -> None:
        """Work until cancelled."""
        now = utc_now()
        if self._conductor.state == "idle":
            with left_out(Trouble(logger, "telling what serves")):
                for message in idle_reports(self._active_release()):
                    self._journal.outbox.put(message, now)
        operations = Operations(
            self._settings, self._conductor, self._store, self._worker, self._journal.outbox
        ).table()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._supervision().run())
                group.create_task(self._await_worker())
                group.create_task(answer_operators(self._settings.device.state_dir, operations))
                group.create_task(self._calls.run(operations, self._session))
                group.create_task(self._cloud_log.run(self._session))
                group.create_task(self.desired.run())
                group.create_task(self._identity.run(self._session))
                group.create_task(self.live.run(self._session))
                if isinstance(self._worker, WorkerClient):
                    tuning = SampleTuning(self._worker, self._settings.samples.choice)
                    self.live.follow(lambda s: s.samples.choice, tuning.want)
                    group.create_task(tuning.run())
                    group.create_task(WorkerLines(self._worker, self._cloud_log).run())
                for telling in self._telling.parts():
                    group.create_task(telling)
                for part in (self._session, self._conductor, self._progress):
                    group.create_task(part.run(), name=type(part).__name__)
        finally:
            notify("STOPPING=1")
            self._progress.close()
