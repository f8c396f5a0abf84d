"""Doing one thing for many devices, several at a time, to the end or to Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from provisioning.errors import AccessDenied, ProvisioningError, Unreachable

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# These would befall every other device as well.
_HOPELESS = (AccessDenied, Unreachable)


@dataclass
class Batch(Generic[_Item, _Result]):
    """What became of it. ``stopped`` says why the rest was left alone, None when nothing was."""

    done: list[_Result] = field(default_factory=list)
    failed: list[tuple[_Item, ProvisioningError]] = field(default_factory=list)
    stopped: str | None = None


def for_each(
    items: Iterable[_Item],
    work: Callable[[_Item], _Result],
    *,
    parallel: int,
    on_done: Callable[[_Result | None], None],
) -> Batch[_Item, _Result]:
    """Call ``work`` for each item, ``parallel`` at a time, and ``on_done`` in this thread.

    A ProvisioningError of one item is noted, and ``on_done`` called with None. Where none could do
    better, or on Ctrl-C, no more are begun, and those under way are waited for.
    """
    batch: Batch[_Item, _Result] = Batch()
    waiting = iter(items)
    running: dict[Future[_Result], _Item] = {}

    def begin() -> None:
        while len(running) < parallel and batch.stopped is None:
            try:
                item = next(waiting)
            except StopIteration:
                return
            running[pool.submit(work, item)] = item

    with ThreadPoolExecutor(parallel) as pool:
        while True:
            try:
                begin()
                if not running:
                    return batch
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    _settle(batch, running.pop(future), future, on_done)
            except KeyboardInterrupt:
                batch.stopped = "interrupted"


def _settle(
    batch: Batch[_Item, _Result],
    item: _Item,
    future: Future[_Result],
    on_done: Callable[[_Result | None], None],
) -> None:
    try:
        result = future.result()
    except ProvisioningError as error:
        batch.failed.append((item, error))
        if isinstance(error, _HOPELESS):
            batch.stopped = str(error)
        on_done(None)
        return
    batch.done.append(result)
    on_done(result)
