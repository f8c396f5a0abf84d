"""Serves a control socket: many clients at once, the requests of each side by side."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.control.errors import ControlError
from agent.control.lines import LINE_BYTES, as_line, read_request
from agent.control.listening import listen, remove
from agent.control.parameters import Method
from agent.worker.errors import EngineFailed, RuntimeUnavailable
from states.ports import Postponed, Rejected

log = logging.getLogger(__name__)

REQUESTS_AT_ONCE = 16
# A subscriber that reads nothing is let go rather than remembered for.
UNREAD_BYTES = 1 << 20
# Without a free descriptor asyncio tries so many times a second to accept a client, and logs each.
BACKLOG = 4


class ControlServer:
    """Serves methods to clients of the socket, and tells subscribers of events."""

    def __init__(self) -> None:
        self._methods: Mapping[str, Method] = {}
        self._clients: set[_Client] = set()
        self._server: asyncio.Server | None = None
        self._listener: socket.socket | None = None

    def listen(self, path: Path, *, group: bool) -> None:
        """Make the socket; only this user may connect, or its group as well.

        Raises SocketUnusable.
        """
        self._listener = listen(path, 0o660 if group else 0o600)

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
        remove(listener)
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
            request = read_request(line)
            number = request.get("id")
            result = await self._call(request)
        except ControlError as error:
            self._write_error(number, error.reason, error.detail)
        except (Rejected, Postponed, EngineFailed) as error:
            self._write_error(number, str(error.reason), error.detail)
        except (RuntimeUnavailable, OSError) as error:
            self._write_error(number, "unavailable", str(error))
        except Exception as defect:
            log.exception("a control request met a defect")
            detail = f"{type(defect).__name__}; the log of whoever was asked has it"
            self._write_error(number, "internal-error", detail)
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
            self._writer.write(as_line(message))
