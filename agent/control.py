"""The control socket of worker and agent: newline-delimited JSON over UNIX, many clients at once.

A request is ``{"id": …, "method": "…", "params": {…}}``, its reply ``{"id": …, "result": {…}}`` or
``{"id": …, "error": {"reason": "…", "detail": "…"}}``. Requests of one client are carried out side
by side. A client that sent ``subscribe`` also gets events: ``{"event": "…", …}``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agent.worker.errors import ControlError, EngineFailed, RuntimeUnavailable, WorkerError
from states.ports import Postponed, Rejected

log = logging.getLogger(__name__)

LINE_BYTES = 65536
REQUESTS_AT_ONCE = 16
# A subscriber that reads nothing is let go rather than remembered for.
UNREAD_BYTES = 1 << 20
# Without a free descriptor asyncio tries so many times a second to accept a client, and logs each.
BACKLOG = 4
LONGEST_SOCKET_PATH = 107
LONGEST_TEXT = 4000

Parameters = dict[str, Any]
Method = Callable[[Parameters], Awaitable[dict[str, Any]]]


class ControlServer:
    """Serves methods to clients of the socket, and tells subscribers of events."""

    def __init__(self) -> None:
        self._methods: Mapping[str, Method] = {}
        self._clients: set[_Client] = set()
        self._server: asyncio.Server | None = None
        self._listener: socket.socket | None = None

    def listen(self, path: Path, *, group: bool) -> None:
        """Make the socket; only this user may connect, or its group as well. Raises WorkerError."""
        self._listener = _listen(path, 0o660 if group else 0o600)

    async def serve(self, methods: Mapping[str, Method]) -> None:
        """Answer whoever connects. Called after :meth:`listen`."""
        self._methods = methods
        self._server = await asyncio.start_unix_server(
            self._serve, sock=self._listener, limit=LINE_BYTES, backlog=BACKLOG
        )

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    def publish(self, event: dict[str, Any]) -> None:
        """Tell every subscriber."""
        for client in list(self._clients):
            client.publish(event)

    async def close(self) -> None:
        """Remove the socket and let go of every client; may be called twice."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        _remove(listener)
        if self._server:
            self._server.close()
        listener.close()
        for client in list(self._clients):
            await client.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(reader, writer, self._methods)
        self._clients.add(client)
        try:
            await client.serve()
        finally:
            self._clients.discard(client)


class _Client:
    """One connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        methods: Mapping[str, Method],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._methods = methods
        self._subscribed = False
        self._room = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Read requests until the client leaves. What it asked for is still finished."""
        try:
            while (line := await self._line()) is not None:
                await self._room.acquire()
                task = asyncio.create_task(self._carry_out(line))
                self._tasks.add(task)
                task.add_done_callback(self._finished)
            if self._tasks:
                await asyncio.wait(self._tasks)
        except ConnectionError as error:
            log.debug("a control client left: %s", error)
        finally:
            self._writer.close()

    async def close(self) -> None:
        """Stop what it asked for and hang up."""
        for task in self._tasks:
            task.cancel()
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    def publish(self, event: dict[str, Any]) -> None:
        """Send an event if the client subscribed and keeps up."""
        if not self._subscribed:
            return
        if self._writer.transport.get_write_buffer_size() > UNREAD_BYTES:
            log.warning("a subscriber of the control socket reads nothing; it is let go")
            self._writer.transport.abort()
            return
        self._write(event)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()):
            log.error("a control request met a defect", exc_info=error)

    async def _line(self) -> bytes | None:
        """The next line, b"" for one that is too long, None at the end."""
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError as error:
            return await self._skip_line(error.consumed)

    async def _skip_line(self, seen: int) -> bytes | None:
        while True:
            await self._reader.readexactly(seen)
            try:
                await self._reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                seen = error.consumed
            except asyncio.IncompleteReadError:
                return None
            else:
                return b""

    async def _carry_out(self, line: bytes) -> None:
        number: object = None
        try:
            request = _decode(line)
            number = request.get("id")
            result = await self._call(request)
        except ControlError as error:
            self._write_error(number, error.reason, error.detail)
        except (Rejected, Postponed, EngineFailed) as error:
            self._write_error(number, str(error.reason), error.detail)
        except (RuntimeUnavailable, OSError) as error:
            self._write_error(number, "unavailable", str(error))
        else:
            self._write({"id": number, "result": result})
        with suppress(ConnectionError):
            await self._writer.drain()

    async def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        name, parameters = request.get("method"), request.get("params") or {}
        if name == "subscribe":
            self._subscribed = True
            return {"subscribed": True}
        if not isinstance(name, str) or name not in self._methods:
            known = ", ".join([*self._methods, "subscribe"])
            raise ControlError("unknown-method", f"{name!r} is none of {known}")
        if not isinstance(parameters, dict):
            raise ControlError("bad-request", "params is no object")
        return await self._methods[name](parameters)

    def _write_error(self, number: object, reason: str, detail: str) -> None:
        self._write({"id": number, "error": {"reason": reason, "detail": detail}})

    def _write(self, message: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")


def _decode(line: bytes) -> dict[str, Any]:
    if not line:
        raise ControlError("bad-request", f"the line is longer than {LINE_BYTES} bytes")
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ControlError("bad-request", f"the line is no JSON: {error}") from error
    if not isinstance(request, dict):
        raise ControlError("bad-request", "the line is no JSON object")
    return request


def read_reply(answer: bytes) -> dict[str, Any]:
    """The result in the line that answers a request.

    Raises ControlError for an error, its detail fit to be logged and stored; ValueError for a line
    that is no reply.
    """
    try:
        reply = json.loads(answer)
        if "error" not in reply:
            return dict(reply["result"])
        reason, detail = (str(reply["error"][name]) for name in ("reason", "detail"))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no reply: {answer[:200]!r}") from error
    raise ControlError(
        *(text[:LONGEST_TEXT].encode(errors="replace").decode() for text in (reason, detail))
    )


def _listen(path: Path, mode: int) -> socket.socket:
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise WorkerError(
            f"the socket path {path} has more than {LONGEST_SOCKET_PATH} bytes; "
            "set a shorter device.state_dir, or worker.socket if it is the worker's"
        )
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~mode)
    try:
        with _can_be_made(path):
            listener.bind(str(path))
            listener.listen()
    except WorkerError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


@contextmanager
def _can_be_made(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkerError(f"the control socket {path} can't be made: {error.strerror}") from error


def _remove(listener: socket.socket) -> None:
    path = listener.getsockname()
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        # The next start removes what nobody listens on.
        log.warning("the control socket %s stays behind: %s", path, error.strerror)


def _remove_stale(path: Path) -> None:
    """Remove a socket that a killed process left behind, and nothing else."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise WorkerError(f"{path} is no socket, so none can be made there; remove it")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            with _can_be_made(path):
                path.unlink(missing_ok=True)
            return
    raise WorkerError(f"another process serves {path}; stop it first")
