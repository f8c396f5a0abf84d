"""The agent's end of the worker's control socket: one JSON line asked, one answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.control.errors import ControlError
from agent.control.lines import read_reply, request_line
from agent.worker_port.errors import WorkerProtocolError
from agent.worker_port.figures import FigureReader
from states.figures import WorkerFigures
from states.ports import Evidence, Postponed, Rejected
from states.reasons import Rejection, Transient

ANSWER_LIMIT = 8 << 20
"""Bytes of the longest answer: a snapshot holds a picture."""


# Reasons of the worker's own, for which neither the content nor the protocol is at fault.
_LATER = {
    "busy": Transient.WORKER_AWAY,
    "not-prepared": Transient.WORKER_AWAY,
    "unavailable": Transient.WORKER_AWAY,
    "no-frame": Transient.NO_FRAMES,
}


class WorkerClient:
    """Implements :class:`states.ports.Worker` for Edgeferry's own worker process.

    ``releases`` is the folder of release folders, ``labels_file`` the name of the labels in each;
    times are in seconds.
    """

    def __init__(
        self,
        socket: Path,
        releases: Path,
        *,
        labels_file: str = "labels.txt",
        load_seconds: float,
        answer_seconds: float = 10.0,
    ) -> None:
        self._socket = socket
        self._releases = releases
        self._figures = FigureReader(releases, labels_file)
        self._load_seconds = load_seconds + answer_seconds
        self._answer_seconds = answer_seconds

    async def prepare(self, release_id: str) -> None:
        """Load and warm beside the serving release. Raises Postponed (away) or Rejected."""
        folder = str(self._releases / release_id)
        await self._ask("prepare", self._load_seconds, release=release_id, folder=folder)

    async def commit(self, release_id: str, watch: bool) -> Evidence:
        """Switch between two frames to a prepared release. Raises Postponed or Rejected.

        A worker short of memory first lets go of the old engine, so it may take a load's time.
        """
        return await self._ask("commit", self._load_seconds, release=release_id, watch=watch)

    async def settle(self, release_id: str) -> None:
        """Let go of the engine that was kept beside this release. Raises Postponed."""
        await self._ask("settle", self._answer_seconds, release=release_id)

    async def withdraw(self) -> None:
        """Stop serving: there is no release to go back to."""
        await self._ask("withdraw", self._answer_seconds)

    async def figures(self) -> WorkerFigures:
        """Counters of the serving release. Raises Postponed when the worker is away."""
        return self._figures.read(await self.status())

    async def status(self) -> dict[str, Any]:
        """The worker's own account of itself. Raises Postponed when it is away."""
        return await self._ask("status", self._answer_seconds)

    async def tallies(self) -> dict[str, Any]:
        """What the worker counted of each release. Raises Postponed when the worker is away."""
        return await self._ask("tallies", self._answer_seconds)

    async def results(self, limit: int) -> dict[str, Any]:
        """The newest classified pictures. Raises Postponed when the worker is away."""
        return await self._ask("results", self._answer_seconds, limit=limit)

    async def log_lines(self, instance: str | None, last: int, wait: int) -> dict[str, Any]:
        """What it warned of after that line, or within ``wait`` seconds from now.

        Raises Postponed when the worker is away.
        """
        seconds = wait + self._answer_seconds
        return await self._ask("log-lines", seconds, instance=instance, last=last, wait=wait)

    async def reload(self, _release_id: str) -> Evidence:
        """Load what serves anew. Raises Postponed or Rejected; the old engine serves on then."""
        return await self._ask("reload", self._load_seconds)

    async def restart(self) -> dict[str, Any]:
        """Have the worker start again as a new process. Raises Postponed when it is away."""
        return await self._ask("restart", self._answer_seconds)

    async def snapshot(self, *, annotated: bool) -> dict[str, Any]:
        """The last picture. Raises Postponed when there is none, or no worker."""
        return await self._ask("snapshot", self._answer_seconds, annotated=annotated)

    async def capture(self, **choice: object) -> dict[str, Any]:
        """Change which samples are kept, as far as keys of ``[samples]`` are given.

        Answers with the figures of the samples. Raises Postponed when the worker is away.
        """
        return await self._ask("capture", self._answer_seconds, **choice)

    @asynccontextmanager
    async def presence(self) -> AsyncIterator[asyncio.Future[bytes]]:
        """A future that is done once the worker that is there now has gone. Raises Postponed."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket)
        except OSError as error:
            raise self._away(error) from error
        gone = asyncio.ensure_future(reader.read(1))
        try:
            yield gone
        finally:
            gone.cancel()
            writer.close()

    async def _ask(self, method: str, seconds: float, **params: object) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                answer = await self._exchange(request_line(method, params))
        except TimeoutError:
            raise Postponed(
                Transient.WORKER_AWAY, f"the worker did not answer {method} within {seconds:g} s"
            ) from None
        except OSError as error:
            raise self._away(error) from error
        except ValueError as error:
            raise WorkerProtocolError(f"{method}: the answer is too long ({error})") from error
        return _result(method, answer)

    def _away(self, error: OSError) -> Postponed:
        return Postponed(
            Transient.WORKER_AWAY,
            f"{self._socket}: {error.strerror or error}; is edgeferry worker running?",
        )

    async def _exchange(self, question: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._socket, limit=ANSWER_LIMIT)
        try:
            writer.write(question)
            await writer.drain()
            answer = await reader.readline()
        finally:
            writer.close()
        if not answer:
            raise ConnectionResetError("closed the connection")
        return answer


def _result(method: str, answer: bytes) -> dict[str, Any]:
    try:
        return read_reply(answer)
    except ControlError as error:
        reason, detail = error.reason, error.detail
    except ValueError as error:
        raise WorkerProtocolError(f"{method}: unreadable answer {answer[:200]!r}") from error
    if reason in set(Rejection):
        raise Rejected(Rejection(reason), detail)
    if reason in _LATER:
        raise Postponed(_LATER[reason], f"{method}: {detail}")
    raise WorkerProtocolError(f"{method}: {reason}: {detail}")
