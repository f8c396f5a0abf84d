"""What the cloud wants of a device: settings, calls, desired state, up to who carries it out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from agent.config import Settings
from agent.control.errors import ControlError
from agent.operations import Operations
from agent.remote.briefs import MOST_BYTES, fitted
from agent.remote.calls import named
from agent.remote.desired import wish_of
from agent.remote.keys import REMOTE_KEYS, merge
from protocol.device_settings import (
    DeviceSettings,
    SettingsStatus,
    decode_settings,
    encode_settings,
    encode_settings_status,
    shortened,
)
from protocol.errors import CodecError
from protocol.formats import ContentFormat, PlainValue
from protocol.rpc import RpcCall, RpcResult, decode_call, encode_call, encode_result
from protocol.values import decode_value, encode_value
from tests.fuzz.target import Attempt, check_text, chosen, refusing, require

FORMATS = (ContentFormat.CBOR, ContentFormat.JSON)
_MOST_STATUS = 1024


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: a byte for kind and format, then the document."""
    file = Settings()
    nothing = cast("Any", None)
    operations = Operations(file, nothing, nothing, nothing, nothing).table()

    def settings(payload: bytes, form: int) -> None:
        sent = decode_settings(payload, form)
        if sent is None:
            return
        require(decode_settings(encode_settings(sent, form), form) == sent, "other settings")
        merged = merge(file, sent.values)
        known = merged.in_force.keys() | {error.key for error in merged.errors}
        require(known == sent.values.keys(), "a setting is neither in force nor refused")
        status = shortened(SettingsStatus(sent.version, merged.errors), _MOST_STATUS)
        told = encode_settings_status(status)
        require(len(told) <= _MOST_STATUS, "a verdict too long to be sent")

    def call(payload: bytes, form: int) -> None:
        asked = decode_call(payload, form)
        if asked is None:
            return
        require(decode_call(encode_call(asked, form), form) == asked, "another call")
        operation = operations.get(asked.method.replace("_", "-"))
        for one in (operation,) if operation else operations.values():
            with refusing(ControlError):
                named(one, asked.params)
        answer = encode_result(fitted(RpcResult(asked.id, detail=list(asked.params))))
        require(len(answer) <= MOST_BYTES, "an answer too long to be sent")

    def desired(payload: bytes, form: int) -> None:
        wish = wish_of(decode_value(payload, form))
        check_text(wish.error or "")

    kinds: tuple[Callable[[bytes, int], None], ...] = (settings, call, desired)

    def attempt(data: bytes) -> None:
        number, payload = chosen(data, 2 * len(kinds))
        with refusing(CodecError):
            kinds[number // 2](payload, FORMATS[number % 2])

    yield attempt


def seeds() -> Iterator[bytes]:
    """One of each kind, in each format."""
    every: dict[str, PlainValue] = dict.fromkeys(REMOTE_KEYS, 1)
    some: dict[str, PlainValue] = {
        "UPDATE_WINDOW_FRAMES": 250,
        "LOG_LEVEL": "debug",
        "SAMPLES_ON": True,
        "OTHER": 0.5,
    }
    for number, form in enumerate(FORMATS):
        for given in (some, every, {}):
            yield bytes([number]) + encode_settings(DeviceSettings(1_700_000_000_000, given), form)
        for call in (
            RpcCall("c/1", "status"),
            RpcCall("c/2", "log_level", ("debug",)),
            RpcCall("c/3", "hold", ({"what": 1},)),
        ):
            yield bytes([2 + number]) + encode_call(call, form)
        yield bytes([4 + number]) + encode_value({"hold": "activation", "other": [None]}, form)
