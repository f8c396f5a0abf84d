"""Garbage collection that does not hold up frames."""

from __future__ import annotations

import gc


def spare_what_stays() -> None:
    """Leave everything that is there by now out of all later collections.

    Modules and what a process is built of are tens of thousands of objects. To go through them
    takes 10 to 25 ms on a PC, many times that on a small board, and frames wait for it.
    """
    gc.collect()
    gc.freeze()
