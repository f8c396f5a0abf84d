"""``docs/reference/error-codes.md``: every reason an update can end or wait for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.cloud.reporting import ota_reason
from agent.commands.words import REASONS
from commands.reference.markdown import MADE, literal, table
from states.reasons import Rejection, Transient

_INTRODUCTION = """\
The same code is in `edgeferry status`, `history` and `explain`, in the device's state document, in
`edgeferry fleet` and in the console. The last column is what Golioth's OTA report says for it. Its
list is fixed and shorter, so most of ours are `FIRMWARE_UPDATE_FAILED` there, and the code itself
is in the state document.
"""
_REFUSED = """\
The content is at fault. It is remembered, and the same content is not tried again by itself. Other
content is taken as usual. If the cause was outside the release and you have removed it, run
`edgeferry retry`. What to do about a signature is in [signing.md](../signing.md).
"""
_WAITING = """\
Something around the content is at fault. The same content is tried again by itself, with growing
pauses; `edgeferry retry` tries at once.
"""
_EXITS = """\
| status | means |
|---|---|
| 0 | done |
| 1 | failed: the message says what, where, and what to do next |
| 2 | wrong usage or configuration: nothing was done; systemd does not start the program again |
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
