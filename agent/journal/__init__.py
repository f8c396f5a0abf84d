"""What the agent remembers over a power cut, in SQLite.

sqlite-utils imports numpy and pandas wherever they are installed, to take their values. The journal
has none, and the agent of a small device does without the 15 MB that numpy alone would cost it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Modules that nobody has imported yet, as if they were not installed."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


with _hidden("numpy", "pandas"):
    import sqlite_utils  # noqa: F401 - every module here that imports it gets this one
