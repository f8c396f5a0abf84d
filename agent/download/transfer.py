"""One package on its way from the server into its partial file."""

from __future__ import annotations

import logging
from collections import Counter, deque

from agent.download.answers import Expected, Verdict, judge
from agent.download.engine import Block, BlockRequest
from agent.download.partial import Partial
from states.model import Package
from states.ports import Postponed, Rejected
from states.reasons import Rejection, Transient

logger = logging.getLogger(__name__)

TRIES_PER_BLOCK = 5
ATTEMPTS = 3
_MAX_BLOCK_NUMBER = 2**20 - 1  # RFC 7959, 2.2


class Transfer:
    """Decides which block to ask for next and what its answer means.

    An *attempt* is one way through the artifact from the beginning. Whenever what is under way
    stops making sense, a new *generation* of requests begins; answers to older ones are ignored.
    """

    def __init__(self, package: Package, partial: Partial) -> None:
        self.package = package
        self.partial = partial
        self._attempts = 1
        self._generation = 0
        self._begin()
        self._check_reachable()

    def __str__(self) -> str:
        return f"{self.package.name} {self.package.version} ({self.package.uri})"

    def take(self) -> BlockRequest | None:
        """The next block to ask for; None while all that is missing is under way."""
        number = self._again.popleft() if self._again else self._next_fresh()
        if number is None:
            return None
        exponent = self.partial.block_size.bit_length() - 5
        uri, artifact = self.package.uri, self.package.sha256
        return BlockRequest(uri, number, exponent, artifact, self._generation)

    def is_stale(self, request: BlockRequest) -> bool:
        """Whether the answer to a request no longer matters."""
        return request.generation != self._generation

    def wants(self, request: BlockRequest) -> bool:
        """Whether the answer to a request would bring new bytes."""
        return not self.is_stale(request) and request.number not in self.partial.finished

    def accept(self, request: BlockRequest, block: Block) -> bool:
        """Use an answer; True when it brought new bytes.

        Raises Postponed or Rejected when the answers make no sense, however often they are asked.
        """
        if not self.wants(request):
            return False
        verdict, why = judge(block, self._expected(request))
        if verdict is Verdict.GOOD:
            self._keep_track(block)
            return self.partial.write(request.number, block.payload)
        if verdict is Verdict.OTHER_SIZE and self._doubts.get(request.number) == why:
            self._other_size(why)
        elif verdict is Verdict.OTHER_ARTIFACT:
            self.start_over(why)
        elif verdict is Verdict.SMALLER_BLOCKS and self._tries[request.number]:
            self._use_smaller_blocks(len(block.payload))
        else:
            if verdict is Verdict.OTHER_SIZE:
                self._doubts[request.number] = why
            self.ask_again(request, why)
        return False

    def ask_again(self, request: BlockRequest, why: str) -> None:
        """Put a request back. Raises Postponed when this block was asked for too often."""
        if not self.wants(request):
            return
        self._tries[request.number] += 1
        if self._tries[request.number] >= TRIES_PER_BLOCK:
            raise Postponed(
                Transient.SERVER_ERROR,
                f"{self}: block {request.number} was asked for {TRIES_PER_BLOCK} times: {why}",
            )
        self._again.append(request.number)

    def start_over(self, why: str) -> None:
        """Drop what was gathered. Raises Postponed when that has happened too often."""
        if self._attempts >= ATTEMPTS:
            raise Postponed(
                Transient.SERVER_ERROR, f"{self}: given up after {ATTEMPTS} attempts: {why}"
            )
        logger.warning("%s starts over: %s", self, why)
        self.partial.start_over()
        self._attempts += 1
        self._begin()

    def _begin(self) -> None:
        self._generation += 1
        self._again: deque[int] = deque()
        self._tries: Counter[int] = Counter()
        # By block: what its answer said against the deployment. A server may err once.
        self._doubts: dict[int, str] = {}
        self._fresh = 0
        self._right_size_seen = False

    def _next_fresh(self) -> int | None:
        number = self.partial.finished.next_missing(self._fresh)
        if number is not None:
            self._fresh = number + 1
        return number

    def _expected(self, request: BlockRequest) -> Expected:
        partial = self.partial
        return Expected(request.number, partial.block_size, self.package.size, partial.etag)

    def _keep_track(self, block: Block) -> None:
        if self.partial.etag is None:
            self.partial.etag = block.etag
        self._right_size_seen |= block.total_size == self.package.size

    def _other_size(self, why: str) -> None:
        """Once may be an artifact that is being replaced; the same again is a wrong deployment."""
        if self._attempts > 1 and not self._right_size_seen:
            raise Rejected(
                Rejection.SIZE_MISMATCH,
                f"{self}: the deployment says {self.package.size} bytes, {why}; publish it again",
            )
        self.start_over(why)

    def _use_smaller_blocks(self, block_size: int) -> None:
        logger.info("%s: going on in blocks of %d bytes", self, block_size)
        self.partial.use_smaller_blocks(block_size)
        self._check_reachable()
        self._begin()

    def _check_reachable(self) -> None:
        last = self.partial.finished.total - 1
        if last > _MAX_BLOCK_NUMBER:
            limit = (_MAX_BLOCK_NUMBER + 1) * self.partial.block_size
            raise Rejected(
                Rejection.TOO_LARGE,
                f"{self}: {self.package.size} bytes; block-wise transfer ends at {limit}",
            )
