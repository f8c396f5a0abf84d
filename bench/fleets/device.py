"""A simulated device: the real session of ``protocol/``, and an update that keeps nothing.

It does on the wire what an agent does with a new deployment: the artifact by blocks, a report of
each step, a state document at the end. Nothing is written to a disk or loaded.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from protocol.blocks import Block
from protocol.credentials import Credential
from protocol.errors import HandshakeTimedOut, LinkError, ProtocolError, TooManyRequests
from protocol.manifest import Component, Manifest
from protocol.report import OtaReason, OtaReport, OtaState
from protocol.session import DeviceSession

_EXPONENT = 6
_BLOCK = 1024
_WINDOW = 4
# Asking again too early would only add to the crowd that keeps the server busy.
_PATIENCE, _ROUND_TRIPS = 4.0, 4
_PAUSE_AFTER_LOSS = 1.0


@dataclass
class Mishaps:
    """What went wrong on the way, over all devices of a process.

    ``repeated`` counts block requests sent again, ``refused`` those answered with 4.29.
    """

    handshake_timeouts: int = 0
    links_lost: int = 0
    begun_again: int = 0
    repeated: int = 0
    refused: int = 0


class SimulatedDevice:
    """One device. ``reached`` is told the steps as they come: connected, observing, notified,
    fetched and reported; the first two again after each lost link.
    """

    def __init__(
        self,
        address: tuple[str, int],
        credential: Credential,
        tasks: asyncio.TaskGroup,
        mishaps: Mishaps,
        reached: Callable[[str], None],
    ) -> None:
        self._tasks = tasks
        self._mishaps = mishaps
        self._reached = reached
        self._session = DeviceSession(
            *address,
            lambda: credential,
            on_manifest=self._on_manifest,
            on_connection=self._on_connection,
        )
        self._connected = False
        self._wanted: Component | None = None
        self._patience = _PATIENCE
        tasks.create_task(self._session.run())

    def _on_connection(self, connected: bool, error: ProtocolError | None) -> None:
        self._mishaps.handshake_timeouts += isinstance(error, HandshakeTimedOut)
        self._mishaps.links_lost += self._connected and not connected
        self._connected = connected
        if connected:
            self._reached("connected")

    def _on_manifest(self, manifest: Manifest) -> None:
        self._reached("observing")
        component = next(iter(manifest.components), None)
        if component is not None and component != self._wanted:
            self._wanted = component
            self._reached("notified")
            self._tasks.create_task(self._update(component))

    async def _update(self, component: Component) -> None:
        """Fetch and report, again from the beginning when the link is lost."""
        done = False
        while not done:
            await self._session.wait_connected()
            try:
                await self._fetch_and_report(component)
                done = True
            except* LinkError:
                self._mishaps.begun_again += 1
                await asyncio.sleep(_PAUSE_AFTER_LOSS)

    async def _fetch_and_report(self, component: Component) -> None:
        package, version = component.package, component.version
        await self._report(OtaReport(package, OtaState.DOWNLOADING, target=version))
        if hashlib.sha256(await self._fetch(component)).hexdigest() != component.sha256:
            raise ValueError(f"{component.uri}: not the bytes that the manifest promises")
        self._reached("fetched")
        await self._report(OtaReport(package, OtaState.DOWNLOADED, target=version))
        await self._report(OtaReport(package, OtaState.UPDATING, target=version))
        done = OtaReason.FIRMWARE_UPDATED_SUCCESSFULLY
        await self._report(OtaReport(package, OtaState.IDLE, done, version=version))
        document = {"state": "idle", "active": {"versions": {package: version}}}
        await self._insist(lambda: self._session.set_state("edgeferry", document))
        self._reached("reported")

    async def _report(self, report: OtaReport) -> None:
        await self._insist(lambda: self._session.report(report))

    async def _insist(self, send: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await send()
            except TooManyRequests:
                self._mishaps.refused += 1

    async def _fetch(self, component: Component) -> bytes:
        blocks = [b""] * -(-component.size // _BLOCK)
        numbers = iter(range(len(blocks)))

        async def lane() -> None:
            for number in numbers:
                blocks[number] = await self._block(component.uri, number)

        async with asyncio.TaskGroup() as group:
            for _ in range(_WINDOW):
                group.create_task(lane())
        return b"".join(blocks)

    async def _block(self, uri: str, number: int) -> bytes:
        while True:
            await self._session.block_turn(_BLOCK)
            outcome = await self._answer(uri, number)
            if isinstance(outcome, Block):
                return outcome.payload
            if outcome is None:
                self._mishaps.repeated += 1
                self._patience *= 2
            elif isinstance(outcome, TooManyRequests):
                self._mishaps.refused += 1
            else:
                raise outcome

    async def _answer(self, uri: str, number: int) -> Block | ProtocolError | None:
        """What comes back for a block; None for nothing within some round trips."""
        loop = asyncio.get_running_loop()
        asked, answer = loop.time(), loop.create_future()

        def settle(outcome: Block | ProtocolError) -> None:
            if not answer.done():
                answer.set_result(outcome)

        token = self._session.ask_block(uri, number, _EXPONENT, settle, confirmable=True)
        try:
            async with asyncio.timeout(self._patience):
                outcome: Block | ProtocolError = await answer
        except TimeoutError:
            self._session.forget_block(token)
            return None
        self._patience = max(_PATIENCE, _ROUND_TRIPS * (loop.time() - asked))
        return outcome
