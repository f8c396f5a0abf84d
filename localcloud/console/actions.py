"""What a click does: only while the session lasts, and with its refusals shown."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from localcloud.console.sign_in import SIGN_IN
from localcloud.console.visit import Visit
from localcloud.errors import CloudError
from protocol.errors import CodecError

Act = Callable[[], Awaitable[None] | None]


def acting(visit: Visit, act: Act, done: str = "") -> Callable[[], Awaitable[bool]]:
    """A handler of clicks that runs ``act``; ``done`` is said when it has worked.

    It returns whether it has. A refusal of the store is shown, and who is signed out signs in anew.
    """

    async def handle() -> bool:
        if not visit.is_open():
            ui.navigate.to(SIGN_IN)
            return False
        try:
            result = act()
            if inspect.isawaitable(result):
                await result
        except (CloudError, CodecError) as error:
            complain(str(error))
            return False
        if done:
            ui.notify(done, type="positive")
        return True

    return handle


def complain(message: str) -> None:
    """Show what was refused and why, until it is read."""
    ui.notify(message, type="negative", multi_line=True, close_button=True, timeout=0)


def asking(question: str, advice: str, yes: str, handle: Callable[[], Any]) -> ui.dialog:
    """A dialog that runs ``handle`` only after a second thought."""
    with ui.dialog() as dialog, ui.card().classes("ef-dialog"):
        ui.label(question).classes("ef-dialog-title")
        ui.label(advice).classes("soft")

        async def confirmed() -> None:
            dialog.close()
            await handle()

        with ui.element("div").classes("ef-buttons"):
            ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
            ui.button(yes, on_click=confirmed).props("unelevated no-caps")
    return dialog
