"""Going on while the disk refuses: nothing that is only told or noted may end the agent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from protocol.trouble import Trouble
from states.ports import Postponed


@contextmanager
def left_out(trouble: Trouble) -> Iterator[None]:
    """What the disk refuses inside is left out from there on, and said once."""
    try:
        yield
    except Postponed as refusal:
        trouble.failed(refusal)
    else:
        trouble.recovered()
