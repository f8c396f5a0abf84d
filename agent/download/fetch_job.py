"""One call of fetch: hands requests to the engine and its answers to the right transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aiocoap import Code

from agent.background import run_to_the_end
from agent.download.engine import Block, BlockRequest
from agent.download.partial import Checkpoints
from agent.download.transfer import Transfer
from agent.store.blobs import WrongContent
from agent.store.release_store import ReleaseStore
from protocol.errors import LinkError, ProtocolError, ResponseError, TooManyRequests
from states.ports import Postponed
from states.reasons import Transient

Progress = Callable[[int, int], None]

# The session slows down by itself on 4.29; that many in a row mean that it does not help.
_MAX_REFUSALS = 10


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
        self._refusals = 0

    async def start(self) -> None:
        """Finish what was complete already when the last call ended."""
        for transfer in [t for t in self._transfers.values() if t.partial.complete]:
            await self._finish(transfer)
        self._report_progress()

    def take(self) -> BlockRequest | None:
        """The next request of the first transfer that has one."""
        requests = (transfer.take() for transfer in self._transfers.values())
        return next((request for request in requests if request is not None), None)

    async def deliver(self, request: BlockRequest, block: Block) -> None:
        """Use an answer. Raises Postponed or Rejected."""
        self._refusals = 0
        self._ledger.downloaded_bytes += len(block.payload)
        transfer = self._transfers.get(request.artifact)
        if transfer is None or not transfer.accept(request, block):
            return
        self._report_progress()
        if transfer.partial.complete:
            await self._finish(transfer)
        elif transfer.partial.checkpoint_due:
            await transfer.partial.checkpoint_beside()
            self._check_reserve()

    def failed(self, request: BlockRequest, error: ProtocolError) -> None:
        """Ask again where that may help. Raises Postponed."""
        if isinstance(error, LinkError):
            raise Postponed(Transient.LINK_LOST, f"{request.uri}: {error}") from error
        transfer = self._transfers.get(request.artifact)
        if transfer is None or transfer.is_stale(request):
            return
        if isinstance(error, TooManyRequests) and self._refusals < _MAX_REFUSALS:
            self._refusals += 1
            transfer.ask_again(request, str(error), counted=False)
        elif _worth_another_try(error):
            transfer.ask_again(request, str(error))
        else:
            missing = isinstance(error, ResponseError) and error.code == Code.NOT_FOUND
            reason = Transient.NOT_FOUND if missing else Transient.SERVER_ERROR
            raise Postponed(reason, f"{request.uri}: {error}") from error

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


def _worth_another_try(error: ProtocolError) -> bool:
    """5.xx come and go; 4.08 is what some servers answer when blocks overtake each other."""
    if not isinstance(error, ResponseError):
        return False
    return bool(error.code.class_ == 5 or error.code == Code.REQUEST_ENTITY_INCOMPLETE)
