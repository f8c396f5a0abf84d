"""Remote procedure calls under way. Nothing of them is stored."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from localcloud.errors import DeadlineExceeded
from protocol.formats import PlainValue
from protocol.rpc import RpcCall, RpcResult, decode_call, encode_call

DEFAULT_TIMEOUT = 15.0  # seconds; longer than Golioth's Python client waits by itself


@dataclass(frozen=True)
class _Pending:
    call: RpcCall
    answer: asyncio.Future[RpcResult]


class Calls:
    """Brings calls to devices and answers back. Everything runs in one event loop.

    A device gets one call at a time: notifications may replace each other on the way (RFC 7641).
    """

    def __init__(self) -> None:
        self._unsent: defaultdict[str, list[_Pending]] = defaultdict(list)
        self._unanswered: dict[tuple[str, str], _Pending] = {}
        self._observers: dict[str, asyncio.Event] = {}

    async def call(
        self,
        device_id: str,
        method: str,
        params: list[PlainValue],
        seconds: float = DEFAULT_TIMEOUT,
    ) -> RpcResult:
        """What the device answers; it may still connect while ``seconds`` pass.

        Raises DeadlineExceeded, and CodecError for a call no device could read.
        """
        call = RpcCall(f"{method}/{secrets.token_hex(4)}", method, tuple(params))
        decode_call(encode_call(call))
        pending = _Pending(call, asyncio.get_running_loop().create_future())
        self._unsent[device_id].append(pending)
        self._unanswered[device_id, call.id] = pending
        if observer := self._observers.get(device_id):
            observer.set()
        try:
            async with asyncio.timeout(seconds):
                return await pending.answer
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"deadline exceeded: no answer to {method!r} within {seconds:g} s"
            ) from error
        finally:
            self._forget(device_id, pending)

    async def deliver(self, device_id: str, send: Callable[[RpcCall], None]) -> None:
        """Send the device its calls, until a later caller takes over from this one."""
        if earlier := self._observers.get(device_id):
            earlier.set()
        wake = self._observers[device_id] = asyncio.Event()
        try:
            while self._observers.get(device_id) is wake:
                if unsent := self._unsent.get(device_id):
                    pending = unsent.pop(0)
                    send(pending.call)
                    await asyncio.wait([pending.answer])
                else:
                    await wake.wait()
                    wake.clear()
        finally:
            if self._observers.get(device_id) is wake:
                del self._observers[device_id]

    def answer(self, device_id: str, result: RpcResult) -> None:
        """Pass on a device's answer; one that nobody waits for any more is dropped."""
        pending = self._unanswered.get((device_id, result.id))
        if pending is not None and not pending.answer.done():
            pending.answer.set_result(result)

    def _forget(self, device_id: str, pending: _Pending) -> None:
        del self._unanswered[device_id, pending.call.id]
        unsent = self._unsent[device_id]
        with suppress(ValueError):
            unsent.remove(pending)
        if not unsent:
            del self._unsent[device_id]
