"""Settings, remote calls and desired state come in; verdicts and answers go out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cbor2
import pytest
from aiocoap import CONTENT, POST, Message

from protocol.device_settings import (
    DeviceSettings,
    SettingCode,
    SettingError,
    SettingsStatus,
    decode_settings_status,
    encode_settings,
)
from protocol.formats import PlainValue
from protocol.rpc import RpcCall, RpcResult, decode_result, encode_call
from protocol.session import DeviceSession
from protocol.subscriptions import Subscriptions
from tests.protocol.session.conftest import CREDENTIAL, SETTINGS
from tests.support.waiting import eventually, within

if TYPE_CHECKING:
    from tests.protocol.session.conftest import Cloud

OK = b"\x62OK"


class Listener:
    """A device that wants to know everything."""

    def __init__(self, port: int, **changes: Any) -> None:
        self.settings: asyncio.Queue[DeviceSettings] = asyncio.Queue()
        self.calls: asyncio.Queue[RpcCall] = asyncio.Queue()
        self.desired: asyncio.Queue[PlainValue] = asyncio.Queue()
        self.session = DeviceSession(
            "127.0.0.1",
            port,
            lambda: CREDENTIAL,
            settings=replace(SETTINGS, **changes),
            on_manifest=lambda _manifest: None,
            on_connection=lambda _up, _error: None,
            subscriptions=Subscriptions(
                self.settings.put_nowait,
                self.calls.put_nowait,
                {"edgeferry/desired": self.desired.put_nowait},
            ),
        )
        self._task = asyncio.create_task(self.session.run())

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture
async def listen(cloud: Cloud) -> AsyncIterator[Callable[..., Listener]]:
    listeners: list[Listener] = []

    def start(**changes: Any) -> Listener:
        listeners.append(Listener(cloud.port, **changes))
        return listeners[-1]

    yield start
    for listener in listeners:
        await listener.stop()


def content(payload: bytes) -> Message:
    return Message(code=CONTENT, payload=payload, content_format=60)


def settings_body(version: int, **values: PlainValue) -> Message:
    return content(encode_settings(DeviceSettings(version, values)))


async def test_an_ok_in_place_of_the_settings_has_them_asked_for(
    cloud: Cloud, listen: Callable[..., Listener]
) -> None:
    cloud.site.scripted[".c"].extend([content(OK), settings_body(7, RATE=1.0)])
    listener = listen()
    assert await within(listener.settings.get()) == DeviceSettings(7, {"RATE": 1.0})


async def test_settings_that_nobody_was_told_of_are_found_by_polling(
    cloud: Cloud, listen: Callable[..., Listener]
) -> None:
    cloud.site.scripted[".c"].extend([settings_body(1), settings_body(1), settings_body(2, A=3)])
    listener = listen(poll_interval=0.1)
    while (await within(listener.settings.get())).version != 2:
        pass


async def test_a_desired_value_that_is_not_there_is_none(
    cloud: Cloud, listen: Callable[..., Listener]
) -> None:
    desired = [content(cbor2.dumps(None)), content(cbor2.dumps({"hold": "everything"}))]
    cloud.site.scripted[".d/edgeferry/desired"].extend(desired)
    listener = listen()
    assert await within(listener.desired.get()) is None
    cloud.site.updated_state()
    assert await within(listener.desired.get()) == {"hold": "everything"}


async def test_every_call_counts_also_while_the_observation_is_replaced(
    cloud: Cloud, listen: Callable[..., Listener]
) -> None:
    listener = listen(poll_interval=0.2)
    cloud.site.scripted[".rpc"].append(content(OK))
    await eventually(lambda: cloud.site.paths().count(".rpc") >= 1)
    for number in range(5):
        # What an observer gets at first may be a call, too.
        call = RpcCall(f"call/{number}", "status")
        cloud.site.scripted[".rpc"].append(content(encode_call(call)))
        cloud.site.updated_state()
        while (await within(listener.calls.get())).id != call.id:
            pass
    await listener.session.answer(RpcResult("call/4", detail={"a": 1}))
    answers = [r for r in cloud.site.requests if r.opt.uri_path == (".rpc", "status")]
    assert decode_result(answers[0].payload) == RpcResult("call/4", detail={"a": 1})


async def test_a_long_verdict_is_shortened_to_one_message(
    cloud: Cloud, listen: Callable[..., Listener]
) -> None:
    listener = listen()
    await within(listener.session.wait_connected())
    error = SettingError("", SettingCode.KEY_NOT_RECOGNIZED, "there is no such setting")
    for count, told in ((3, 3), (18, 18), (200, 19)):
        errors = tuple(replace(error, key=f"KEY_{n:03d}") for n in range(count))
        await listener.session.report_settings(SettingsStatus(5, errors))
        sent = [r for r in cloud.site.requests if r.code is POST][-1]
        assert len(sent.payload) <= 1024
        status = decode_settings_status(sent.payload)
        assert (status.version, len(status.errors) >= told) == (5, True)
        assert (status.errors[0].details is None) == (count > 3)


async def test_everything_is_followed_again_once_the_server_is_back(
    cloud: Cloud, listen: Callable[..., Listener]
) -> None:
    cloud.site.scripted[".c"].append(settings_body(1))
    listener = listen(keepalive_interval=0.2, ping_timeout=0.5)
    assert (await within(listener.settings.get())).version == 1
    port = cloud.port
    await cloud.stop()
    followed = {".u/desired", ".c", ".rpc", ".d/edgeferry/desired"}
    cloud.site.requests.clear()
    cloud.site.scripted[".c"].append(settings_body(2))
    call = RpcCall("call/1", "status")
    cloud.site.scripted[".rpc"].append(content(encode_call(call)))
    await cloud.start(port)
    assert (await within(listener.settings.get())).version == 2
    assert await within(listener.calls.get()) == call

    def observed() -> bool:
        again = {"/".join(r.opt.uri_path) for r in cloud.site.requests if r.opt.observe == 0}
        return followed <= again

    await eventually(observed)
