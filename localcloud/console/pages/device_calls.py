"""Remote calls to a device, with what it answers."""

from __future__ import annotations

import json
from dataclasses import dataclass

from nicegui import ui

from localcloud.console.actions import acting, asking, complain
from localcloud.console.frame import card, pill, text
from localcloud.console.visit import Visit
from protocol.formats import PlainValue, plain_value
from protocol.rpc import RpcCode, RpcResult


@dataclass(frozen=True)
class _Call:
    """A call with a button of its own; ``warning`` is asked about first."""

    label: str
    icon: str
    method: str
    params: tuple[PlainValue, ...] = ()
    warning: str = ""


_CALLS = (
    _Call("Status", "monitor_heart", "status"),
    _Call("Explain", "menu_book", "explain"),
    _Call("Snapshot", "photo_camera", "snapshot"),
    _Call("Hold", "pause", "hold"),
    _Call("Release hold", "play_arrow", "release_hold"),
    _Call("Retry", "replay", "retry"),
    _Call("Capture on", "fiber_manual_record", "capture", (True,)),
    _Call("Capture off", "stop", "capture", (False,)),
    _Call("Reload", "sync", "reload"),
    _Call("Roll back", "undo", "rollback", (), "It goes back to the release before, and stays."),
    _Call(
        "Restart worker", "restart_alt", "restart_worker", (), "No picture is classified meanwhile."
    ),
)


def calls_card(visit: Visit, device_id: str) -> None:
    """Buttons for the calls that Edgeferry's agent knows, and a way to any other."""
    with card("Ask the device", "what changes it must be allowed in its own file", "ef-calls"):
        panel = _Answers(visit, device_id)
        with ui.element("div").classes("ef-buttons"):
            for call in _CALLS:
                panel.button(call)
        with ui.expansion("Another call").props("dense").classes("ef-wide"):
            _any_call(panel)
        panel.place()


def _any_call(panel: _Answers) -> None:
    method = ui.input("Method").props("dense outlined").classes("ef-wide")
    params = ui.input("Parameters, a JSON array", value="[]").props("dense outlined")
    params.classes("ef-wide")

    async def call() -> None:
        try:
            parsed = plain_value(json.loads(params.value or "[]"), "parameters")
        except ValueError as error:
            complain(f"The parameters are no JSON: {error}")
            return
        listed = parsed if isinstance(parsed, list) else [parsed]
        await panel.ask(_Call(method.value, "", method.value, tuple(listed)))

    ui.button("Call", on_click=call).props("unelevated no-caps dense")


class _Answers:
    """Makes calls and shows the newest answer."""

    def __init__(self, visit: Visit, device_id: str) -> None:
        self._visit, self._device_id = visit, device_id
        self._shown: ui.element

    def place(self) -> None:
        """Put the answer here."""
        self._shown = ui.element("div").classes("ef-answer").props('aria-live="polite"')
        self._shown.set_visibility(False)

    def button(self, call: _Call) -> None:
        """A button that makes the call."""

        async def ask() -> None:
            await self.ask(call)

        if call.warning:
            dialog = asking(f"{call.label}?", call.warning, call.label, ask)
            button = ui.button(call.label, icon=call.icon, on_click=dialog.open)
        else:
            button = ui.button(call.label, icon=call.icon, on_click=ask)
        button.props("outline no-caps dense").classes("ef-call")

    async def ask(self, call: _Call) -> None:
        """Call the device and show what it says."""
        self._show(call.method, "waiting for the device", "busy")

        async def exchange() -> None:
            answer = await self._visit.calls.call(self._device_id, call.method, list(call.params))
            self._show(call.method, *_described(answer))

        if not await acting(self._visit, exchange)():
            self._show(call.method, "no answer", "bad")

    def _show(self, method: str, word: str, tone: str, detail: str = "") -> None:
        self._shown.set_visibility(True)
        self._shown.clear()
        with self._shown:
            text(method, "ef-method")
            pill(word, tone)
            if detail:
                text(detail, tag="pre")


def _described(answer: RpcResult) -> tuple[str, str, str]:
    detail = "" if answer.detail is None else json.dumps(answer.detail, indent=2)
    if answer.code is RpcCode.OK:
        return "ok", "good", detail
    return answer.code.name.replace("_", " ").lower(), "bad", detail
