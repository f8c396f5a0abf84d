"""``docs/reference/error-codes.md``: every reason an update can end or wait for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.cloud.reporting import ota_reason
from agent.commands.words import REASONS
from commands.reference.markdown import MADE, literal, table
from states.reasons import Rejection, Transient

_INTRODUCTION = """\
The same code stands in `edgeferry status`, `history` and `explain`, in the device's state document,
in `edgeferry fleet` and in the console. The last column is what Golioth's OTA report says for it:
its list is fixed and shorter, so most of ours are `FIRMWARE_UPDATE_FAILED` there, and the code
itself is in the state document.
"""
_REFUSED = """\
The content is at fault. It is remembered by content and not tried again by itself; other content,
or `edgeferry retry` when the fault is mended outside the release, lets an update in again.
"""
_WAITING = """\
The surroundings are at fault. The same content is tried again, ever more rarely, without anybody's
doing; `edgeferry retry` ends the wait.
"""
_EXITS = """\
| status | means |
|---|---|
| 0 | done |
| 1 | failed: the message says what, where, and what to do next |
| 2 | wrong usage or configuration: nothing was begun; systemd does not start the daemon again |
"""


def error_page() -> str:
    """The Markdown page of the reasons as they are."""
    parts = ["# Error codes", "", MADE, "", _INTRODUCTION]
    parts += ["## Refused", "", _REFUSED, *_reasons(Rejection), ""]
    parts += ["## Tried again", "", _WAITING, *_reasons(Transient), ""]
    parts += ["## Exit status of every command", "", _EXITS]
    return "\n".join(parts)


def _reasons(reasons: Iterable[Rejection] | Iterable[Transient]) -> Iterator[str]:
    rows = ((literal(each), REASONS[each], literal(ota_reason(each).name)) for each in reasons)
    return table(("code", "means", "OTA reason"), rows)
