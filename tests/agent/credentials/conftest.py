"""A device's identity and session against a real local cloud, all in one process."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.credentials import renewal, watch
from agent.credentials.identity import DeviceIdentity
from agent.credentials.known_time import KnownTime, from_text
from agent.credentials.settings import GoliothSettings
from agent.credentials.watch import CERTIFICATE_FACT, TIME_FACT
from agent.journal.journal import SqliteJournal
from localcloud.cloud import LocalCloud
from localcloud.settings import CloudSettings
from protocol.credentials import utc_now
from protocol.errors import ProtocolError
from protocol.manifest import Manifest
from protocol.session import DeviceSession, SessionSettings
from tests.support.cloud import Bench
from tests.support.pki import Authority, Issued
from tests.support.waiting import eventually

CERTIFICATE_ID = "camera-1"
QUICK = SessionSettings(
    requests_per_second=None,
    backoff_initial=0.02,
    backoff_maximum=0.1,
    handshake_timeout=3.0,
    poll_interval=0.2,
)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow one another quickly, so that tests need not wait."""
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(renewal, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(renewal, "REFUSED_SECONDS", 0.05)


class Device:
    """One device: its files, its state folder, and its session while it runs."""

    def __init__(self, cloud: LocalCloud, folder: Path, authority: Authority) -> None:
        self.folder = folder
        self.authority = authority
        self.cloud = cloud
        self.certificate, self.key = folder / "device.crt", folder / "device.key"
        self.server_ca = cloud.server_ca
        self.errors: list[ProtocolError] = []
        self.connections = 0
        self.answers = 0
        self._stack = AsyncExitStack()
        folder.mkdir(exist_ok=True)
        self.install(self.issue())

    def issue(self, authority: Authority | None = None, **changes: Any) -> Issued:
        """A certificate for this device."""
        project = changes.pop("project", self.cloud.project.id)
        return (authority or self.authority).device(CERTIFICATE_ID, project, **changes)

    def install(self, issued: Issued) -> None:
        """Drop a pair in place."""
        shutil.copy(issued.key, self.key)
        shutil.copy(issued.certificate, self.certificate)

    def golioth(self, **changes: Any) -> GoliothSettings:
        """The configuration."""
        host, port = self.cloud.coap_address
        pair = {"certificate": self.certificate, "private_key": self.key}
        table = {"uri": f"coaps://{host}:{port}", **pair, "server_ca": self.server_ca}
        return GoliothSettings(**(table | {"renew_days_before": 0} | changes))

    async def start(
        self,
        *,
        clock: Callable[[], datetime] = utc_now,
        synchronized: bool | None = None,
        **changes: Any,
    ) -> None:
        """Run the session, as the agent does."""
        golioth = self.golioth(**changes)
        self.journal = SqliteJournal(self.folder / "state.db", lambda *_: ())
        self._stack.callback(self.journal.close)
        remembered = from_text(self.journal.fact(TIME_FACT))
        self.time = KnownTime(remembered, clock=clock, synchronized=lambda: synchronized)
        identity = DeviceIdentity(golioth, self.folder, self.journal, self.time)

        def on_connection(connected: bool, error: ProtocolError | None) -> None:
            self.connections += connected
            if error is not None:
                self.errors.append(error)
            identity.on_connection(connected, error)

        def on_manifest(_manifest: Manifest) -> None:
            self.answers += 1
            identity.on_answer()

        self.session = DeviceSession(
            *golioth.address,
            identity.read,
            now=identity.now,
            settings=QUICK,
            on_manifest=on_manifest,
            on_connection=on_connection,
        )
        for work in (self.session.run(), identity.run(self.session)):
            self._stack.push_async_callback(_cancel, asyncio.create_task(work))

    async def stop(self) -> None:
        """Stop it and close what it has open."""
        await self._stack.aclose()

    async def eventually(self, what: str, holds: Callable[[], object]) -> None:
        """Wait until something has happened that no event tells of."""
        try:
            await eventually(holds)
        except TimeoutError:
            raise AssertionError(f"{what}: not in time; errors: {self.errors[:3]}") from None

    async def answered(self) -> None:
        """Wait until the server has answered over the link."""
        before = self.answers
        await self.eventually("an answer", lambda: self.answers > before)

    async def first_error(self) -> ProtocolError:
        """Why it does not connect."""
        await self.eventually("an error", lambda: self.errors)
        return self.errors[0]

    def told(self) -> dict[str, Any]:
        """What ``status`` would say of the certificate."""
        return dict(json.loads(self.journal.fact(CERTIFICATE_FACT) or "{}"))

    async def until_served_with(self, issued: Issued) -> None:
        """Wait until the cloud answers a session with that certificate."""
        serial = int(issued.certificate.stem, 16)
        await self.eventually("that certificate is shown", lambda: serial in self.serials())

    def serials(self) -> list[int]:
        """Serial numbers of the certificates in the cloud's live sessions."""
        peers = [remote.peer for remote in self.cloud._gateway]
        return [peer.certificate.serial_number for peer in peers if peer.certificate]

    def identities(self) -> list[str | None]:
        """PSK identities of the cloud's live sessions."""
        return [remote.peer.identity for remote in self.cloud._gateway]


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def cloud_settings() -> CloudSettings:
    """Tests that need others override this."""
    return CloudSettings(coap_port=0, http_port=0, rate_limit=None)


@pytest.fixture
async def cloud(tmp_path: Path, cloud_settings: CloudSettings) -> AsyncIterator[LocalCloud]:
    async with LocalCloud(tmp_path / "cloud", cloud_settings) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    """Ours, and one that nobody here trusts."""
    folder = tmp_path_factory.mktemp("authorities")
    return Authority(folder / "ours", "Root golioth"), Authority(folder / "foreign", "Else")


@pytest.fixture
async def device(
    cloud: LocalCloud, tmp_path: Path, authorities: tuple[Authority, Authority]
) -> AsyncIterator[Device]:
    """A device whose certificate the project trusts; not started yet."""
    ours, _ = authorities
    async with AsyncExitStack() as stack:
        await Bench(cloud, stack).operator.trust(ours)
    device = Device(cloud, tmp_path / "device", ours)
    yield device
    await device.stop()


DAY = timedelta(days=1)
