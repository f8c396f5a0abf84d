"""Doing one thing for many devices, several at a time, to the end or to Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from provisioning.errors import AccessDenied, ProvisioningError, Unreachable

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

PARALLEL = 8
"""Items at a time: an operator's machine, and a cloud with other users, bear that many."""
# These would befall every other device as well.
_HOPELESS = (AccessDenied, Unreachable)


@dataclass
class Batch(Generic[_Item, _Result]):
    """What became of it, in the items' order.

    ``stopped`` says why the rest was left alone, None when nothing was.
    """

    done: list[_Result] = field(default_factory=list)
    failed: list[tuple[_Item, ProvisioningError]] = field(default_factory=list)
    stopped: str | None = None


def for_each(
    items: Iterable[_Item],
    work: Callable[[_Item], _Result],
    *,
    on_done: Callable[[_Result | None], None],
    parallel: int = PARALLEL,
) -> Batch[_Item, _Result]:
    """Call ``work`` for each item, ``parallel`` at a time, and ``on_done`` in this thread.

    A ProvisioningError of one item is noted, and ``on_done`` called with None. Where none could do
    better, or on Ctrl-C, no more are begun, and those under way are waited for.
    """
    run = _Run(items, work, parallel, on_done)
    with ThreadPoolExecutor(parallel) as pool:
        while True:
            try:
                run.begin(pool)
                if not run.running:
                    return run.batch()
                run.settle()
            except KeyboardInterrupt:
                run.stopped = "interrupted"


def results_of(items: Iterable[_Item], work: Callable[[_Item], _Result]) -> list[_Result]:
    """What ``work`` gives for each item, in the items' order.

    Raises the ProvisioningError of the first item that has one, and KeyboardInterrupt at Ctrl-C.
    """
    batch = for_each(items, work, on_done=lambda _: None)
    if batch.failed:
        raise batch.failed[0][1]
    if batch.stopped is not None:
        raise KeyboardInterrupt
    return batch.done


class _Run(Generic[_Item, _Result]):
    def __init__(
        self,
        items: Iterable[_Item],
        work: Callable[[_Item], _Result],
        parallel: int,
        on_done: Callable[[_Result | None], None],
    ) -> None:
        self.running: dict[Future[_Result], int] = {}
        self.stopped: str | None = None
        self._items = list(items)
        self._waiting = iter(range(len(self._items)))
        self._work, self._parallel, self._on_done = work, parallel, on_done
        self._done: dict[int, _Result] = {}
        self._failed: dict[int, ProvisioningError] = {}

    def begin(self, pool: ThreadPoolExecutor) -> None:
        while len(self.running) < self._parallel and self.stopped is None:
            position = next(self._waiting, None)
            if position is None:
                return
            self.running[pool.submit(self._work, self._items[position])] = position

    def settle(self) -> None:
        for future in wait(self.running, return_when=FIRST_COMPLETED).done:
            self._note(self.running.pop(future), future)

    def batch(self) -> Batch[_Item, _Result]:
        done = [self._done[position] for position in sorted(self._done)]
        failed = [(self._items[p], self._failed[p]) for p in sorted(self._failed)]
        return Batch(done, failed, self.stopped)

    def _note(self, position: int, future: Future[_Result]) -> None:
        try:
            result = future.result()
        except ProvisioningError as error:
            self._failed[position] = error
            if isinstance(error, _HOPELESS):
                self.stopped = str(error)
            self._on_done(None)
            return
        self._done[position] = result
        self._on_done(result)
