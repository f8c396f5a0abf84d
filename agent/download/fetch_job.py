"""One call of fetch: hands requests to the engine and its answers to the right transfer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aiocoap import Code

from agent.download.checkpoint import Checkpoints
from agent.download.engine import Block, BlockRequest
from agent.download.transfer import Transfer
from agent.service.background import run_to_the_end
from agent.store.blobs import WrongContent
from agent.store.release_store import ReleaseStore
from protocol.errors import LinkError, ProtocolError, ResponseError, may_pass
from states.ports import Postponed
from states.reasons import Transient

Progress = Callable[[int, int], None]


@dataclass
class Ledger:
    """What outlives one call.

    ``wrong_digests`` is what an artifact hashed to when it last came out wrong, by what it should
    hash to.
    """

    downloaded_bytes: int = 0
    wrong_digests: dict[str, str] = field(default_factory=dict)


class FetchJob:
    """Implements :class:`agent.download.engine.BlockWork` over several transfers, in order.

    ``progress`` is told about ``held_bytes`` (in the store already) and all transfers together.
    """

    def __init__(
        self,
        transfers: Iterable[Transfer],
        store: ReleaseStore,
        checkpoints: Checkpoints,
        ledger: Ledger,
        progress: Progress,
        held_bytes: int,
    ) -> None:
        self._transfers = {transfer.package.sha256: transfer for transfer in transfers}
        self._store = store
        self._checkpoints = checkpoints
        self._ledger = ledger
        self._progress = progress
        self._held = held_bytes
        self._total = held_bytes + sum(t.package.size for t in self._transfers.values())
        self._beside: dict[Transfer, asyncio.Task[None]] = {}
        self._trouble: BaseException | None = None
        self._wake: Callable[[], None] = lambda: None

    @property
    def busy(self) -> bool:
        """Whether a checkpoint or a verification is under way."""
        return bool(self._beside)

    def on_rest(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` after each checkpoint and verification."""
        self._wake = wake

    async def rest(self) -> None:
        """Return when nothing is done beside any more, which is cut short."""
        for task in self._beside.values():
            task.cancel()
        await asyncio.gather(*self._beside.values(), return_exceptions=True)

    def start(self) -> None:
        """Finish what was complete already when the last call ended."""
        for transfer in self._transfers.values():
            self._look_after(transfer)
        self._report_progress()

    def take(self) -> BlockRequest | None:
        """The next request of the first transfer that has one. Raises Postponed or Rejected."""
        if self._trouble is not None:
            raise self._trouble
        for transfer in self._transfers.values():
            if transfer in self._beside and transfer.partial.at_stake:
                continue
            if (request := transfer.take()) is not None:
                return request
        return None

    def wants(self, request: BlockRequest) -> bool:
        """Whether an answer to this request still matters."""
        transfer = self._transfers.get(request.artifact)
        return transfer is not None and transfer.wants(request)

    def deliver(self, request: BlockRequest, block: Block) -> None:
        """Use an answer. Raises Postponed or Rejected."""
        self._ledger.downloaded_bytes += len(block.payload)
        transfer = self._transfers.get(request.artifact)
        if transfer is not None and transfer.accept(request, block):
            self._report_progress()
            self._look_after(transfer)

    def failed(self, request: BlockRequest, error: ProtocolError) -> None:
        """Ask again where that may help. Raises Postponed."""
        if isinstance(error, LinkError):
            raise Postponed(Transient.LINK_LOST, f"{request.uri}: {error}") from error
        transfer = self._transfers.get(request.artifact)
        if transfer is None or not transfer.wants(request):
            return
        if may_pass(error):
            transfer.ask_again(request, str(error))
        else:
            missing = isinstance(error, ResponseError) and error.code == Code.NOT_FOUND
            reason = Transient.NOT_FOUND if missing else Transient.SERVER_ERROR
            raise Postponed(reason, f"{request.uri}: {error}") from error

    # What is done beside, while blocks go on arriving.

    def _look_after(self, transfer: Transfer) -> None:
        """Begin a checkpoint or the verification if one is due and none is under way."""
        due = transfer.partial.complete or transfer.partial.checkpoint_due
        if due and transfer not in self._beside:
            task = asyncio.ensure_future(self._care_for(transfer))
            self._beside[transfer] = task
            task.add_done_callback(lambda task: self._cared_for(transfer, task))

    async def _care_for(self, transfer: Transfer) -> None:
        await transfer.partial.checkpoint_beside()
        if transfer.partial.complete:
            await self._finish(transfer)
        else:
            self._check_reserve()

    def _cared_for(self, transfer: Transfer, task: asyncio.Task[None]) -> None:
        del self._beside[transfer]
        if task.cancelled():
            return
        self._trouble = self._trouble or task.exception()
        if self._trouble is None and transfer.package.sha256 in self._transfers:
            self._look_after(transfer)
        self._wake()

    async def _finish(self, transfer: Transfer) -> None:
        """Verify a complete transfer and take it off the list, or begin it once more."""
        await transfer.partial.checkpoint_beside()
        sha256 = transfer.package.sha256
        try:
            await run_to_the_end(self._store.admit, transfer.package, transfer.partial.path)
        except WrongContent as wrong:
            self._once_more(transfer, wrong)
        else:
            self._ledger.wrong_digests.pop(sha256, None)
            self._checkpoints.forget(sha256)
            del self._transfers[sha256]
            self._held += transfer.package.size
        self._report_progress()

    def _once_more(self, transfer: Transfer, wrong: WrongContent) -> None:
        """What the link or this disk spoiled heals by fetching again; a wrong artifact does not."""
        last_time = self._ledger.wrong_digests.pop(transfer.package.sha256, None)
        if last_time == wrong.actual:
            raise wrong
        self._ledger.wrong_digests[transfer.package.sha256] = wrong.actual
        transfer.start_over(wrong.detail)

    def _check_reserve(self) -> None:
        if self._store.available_bytes() == 0:
            raise Postponed(
                Transient.DISK_FULL,
                f"{self._store.state_dir}: only the reserve is free; free some space,"
                " the update goes on by itself",
            )

    def _report_progress(self) -> None:
        under_way = sum(transfer.partial.bytes_done for transfer in self._transfers.values())
        self._progress(self._held + under_way, self._total)
