"""What may go wrong at a control socket."""

from __future__ import annotations

from typing import ClassVar


class SocketUnusable(Exception):  # noqa: N818 - reads as what happened
    """The socket can't be made or served; the text names it and the next step."""

    exit_status: ClassVar[int] = 1


class ControlError(Exception):
    """A request that can't be carried out; ``reason`` is part of the contract."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
