"""Remote calls: the operations of the control socket, asked for through Golioth.

A call is answered within seconds, whatever the device is doing; what takes longer goes on, and its
outcome is seen in the device state. Codes are gRPC's, as Golioth documents them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

from agent.control.errors import ControlError
from agent.control.parameters import Parameters
from agent.operations import Operation
from agent.remote.begun import BegunBefore, BegunCalls
from agent.remote.briefs import fitted
from protocol.errors import LinkError, ProtocolError, TooManyRequests
from protocol.formats import PlainValue
from protocol.rpc import RpcCall, RpcCode, RpcResult
from protocol.trouble import Trouble
from states.ports import Postponed, Rejected

logger = logging.getLogger(__name__)

WORK_SECONDS = 7.0
"""What an operation may take until it is answered; Golioth's Python client waits ten."""
ANSWER_SECONDS = 30.0
"""How long an answer is worth sending; nobody waits longer."""
BUSY_SECONDS = 2.0
AT_ONCE = 8
REMEMBERED = 64
"""Calls whose answer is kept, for one that comes twice."""

_CODES = {
    "bad-request": RpcCode.INVALID_ARGUMENT,
    "refused": RpcCode.FAILED_PRECONDITION,
    "unavailable": RpcCode.UNAVAILABLE,
}


class Session(Protocol):
    """The session, as far as it is used here."""

    async def wait_connected(self) -> None:
        """Return as soon as a link is up."""

    async def answer(self, result: RpcResult) -> None:
        """Answer a call."""


class RemoteCalls:
    """Carries calls out, each id once. ``allow``: also those that change what serves."""

    def __init__(self, begun: BegunCalls, *, allow: bool) -> None:
        self._begun = begun
        self._allow = allow
        self._calls: asyncio.Queue[RpcCall] = asyncio.Queue()
        self._answers: OrderedDict[str, RpcResult | None] = OrderedDict()
        self._work: set[asyncio.Task[RpcResult]] = set()
        self._trouble = Trouble(logger, "answering a remote call")

    def take(self, call: RpcCall) -> None:
        """A call has come, maybe not for the first time."""
        self._calls.put_nowait(call)

    async def run(self, operations: Mapping[str, Operation], session: Session) -> None:
        """Answer calls with these operations, for ever."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    call = await self._calls.get()
                    known = self._answers.get(call.id)
                    if known is not None:
                        group.create_task(self._send(known, session))
                    elif call.id not in self._answers:
                        self._answers[call.id] = None
                        group.create_task(self._answer(call, operations, session))
        finally:
            for work in self._work:
                work.cancel()

    async def _answer(
        self, call: RpcCall, operations: Mapping[str, Operation], session: Session
    ) -> None:
        result = fitted(await self._result(call, operations))
        self._answers[call.id] = result
        while len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        logger.info("remote call %.60r was answered with %s", call.method, result.code.name)
        await self._send(result, session)

    async def _result(self, call: RpcCall, operations: Mapping[str, Operation]) -> RpcResult:
        operation = operations.get(call.method.replace("_", "-"))
        if operation is None:
            known = ", ".join(sorted(name.replace("-", "_") for name in operations))
            return _failed(call, RpcCode.NOT_FOUND, f"no such method; there are {known}")
        if operation.changes and not self._allow:
            why = "not allowed here; set allow = true in [remote] of the device's agent.toml"
            return _failed(call, RpcCode.PERMISSION_DENIED, why)
        if sum(result is None for result in self._answers.values()) > AT_ONCE:
            why = f"{AT_ONCE} other calls are under way; try again"
            return _failed(call, RpcCode.RESOURCE_EXHAUSTED, why)
        try:
            parameters = named(operation, call.params)
        except ControlError as error:
            return _failed(call, RpcCode.INVALID_ARGUMENT, error.detail)
        work = asyncio.create_task(self._outcome(call, operation, parameters))
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        await asyncio.wait([work], timeout=WORK_SECONDS)
        if work.done():
            return work.result()
        if operation.goes_on:
            work.add_done_callback(_log_outcome)
            said = "it goes on; the device state .d/edgeferry tells what comes of it"
            return RpcResult(call.id, RpcCode.OK, {"goes_on": True, "said": said})
        work.cancel()
        why = f"no outcome within {WORK_SECONDS:g} s; try again"
        return _failed(call, RpcCode.DEADLINE_EXCEEDED, why)

    async def _outcome(
        self, call: RpcCall, operation: Operation, parameters: Parameters
    ) -> RpcResult:
        """What became of an operation, as an answer."""
        try:
            if operation.changes:
                self._begun.begin(call.id)
            answer = await operation.carry_out(parameters)
        except BegunBefore as repeated:
            return _failed(call, RpcCode.ABORTED, str(repeated))
        except ControlError as error:
            return _failed(call, _CODES.get(error.reason, RpcCode.UNKNOWN), error.detail)
        except Rejected as refusal:
            return _failed(call, RpcCode.FAILED_PRECONDITION, str(refusal))
        except Postponed as away:
            return _failed(call, RpcCode.UNAVAILABLE, away.detail)
        except Exception as defect:
            logger.exception("remote call %.60r met an unforeseen error", call.method)
            why = f"{type(defect).__name__}; the device's log has it"
            return _failed(call, RpcCode.INTERNAL, why)
        return RpcResult(call.id, RpcCode.OK, operation.brief(answer))

    async def _send(self, result: RpcResult, session: Session) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while not await _sent(result, session):
                    await asyncio.sleep(BUSY_SECONDS)
                    await session.wait_connected()
        except TimeoutError:
            self._trouble.failed(LinkError("no link for it in time; the call goes unanswered"))
        except ProtocolError as refusal:
            self._trouble.failed(refusal)
        else:
            self._trouble.recovered()


async def _sent(result: RpcResult, session: Session) -> bool:
    try:
        await session.answer(result)
    except (LinkError, TooManyRequests):
        return False
    return True


def _log_outcome(work: asyncio.Task[RpcResult]) -> None:
    if not work.cancelled() and work.result().code is not RpcCode.OK:
        logger.warning("what a remote call began failed: %s", work.result().detail)


def named(operation: Operation, params: tuple[PlainValue, ...]) -> Parameters:
    """The parameters by name; an object in place of them has names already. Raises ControlError."""
    first = params[0] if len(params) == 1 else None
    given = (
        first if isinstance(first, dict) else dict(zip(operation.parameters, params, strict=False))
    )
    too_many = len(params) > len(operation.parameters) and not isinstance(first, dict)
    if too_many or not given.keys() <= set(operation.parameters):
        takes = ", ".join(operation.parameters) or "none"
        raise ControlError("bad-request", f"parameters it takes: {takes}")
    return {name: value for name, value in given.items() if value is not None}


def _failed(call: RpcCall, code: RpcCode, why: str) -> RpcResult:
    detail: dict[str, Any] = {"error": why}
    return RpcResult(call.id, code, detail)
