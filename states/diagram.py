"""The page ``docs/state-machine.md``, drawn from the machine itself (`make diagram`)."""

from __future__ import annotations

import sys

from states.machine import SUPERSEDABLE, UpdateMachine
from states.policy import Policy
from states.reasons import Rejection, Transient

_PAGE = """\
# The update state machine

This page is generated (`make diagram`); a test keeps it true.

```mermaid
{diagram}
```

| state | longest stay | a newer manifest |
|---|---|---|
{states}

A state that uses up its time is left by `postpone`, `reject` or `roll_back`, whichever is safe
there. A newer manifest is one with other content; the same content is no news whatever its number.

Content is refused for good, and remembered, for one of: {rejections}.

The same content is tried again, with growing pauses, after: {transients}.
"""


def page() -> str:
    """The Markdown page of the machine as it is."""
    return _PAGE.format(
        diagram=format(UpdateMachine, "mermaid").strip(),
        states="\n".join(_row(state.name, str(state.value)) for state in UpdateMachine.states),
        rejections=_listed(Rejection),
        transients=_listed(Transient),
    )


def _row(name: str, value: str) -> str:
    seconds = Policy().deadlines.get(value)
    stay = "no limit of its own" if seconds is None else f"{seconds:g} s"
    newer = "starts an update" if value == "idle" else "waits"
    if value in SUPERSEDABLE:
        newer = "takes over"
    elif value == "confirming":
        newer = "takes over after a roll back"
    return f"| {name} | {stay} | {newer} |"


def _listed(reasons: type[Rejection] | type[Transient]) -> str:
    return ", ".join(f"`{reason}`" for reason in reasons)


if __name__ == "__main__":
    sys.stdout.write(page())
