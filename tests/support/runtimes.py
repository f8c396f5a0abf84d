"""The TFLite runtimes that work here, as parameters of tests."""

from __future__ import annotations

from typing import get_args

import pytest

from agent.worker.choices import RuntimeName
from agent.worker.errors import RuntimeUnavailable
from agent.worker.model.runtime import find_runtime


def works(name: RuntimeName) -> bool:
    """Whether that runtime builds and runs an interpreter."""
    try:
        find_runtime(name)
    except RuntimeUnavailable:
        return False
    return True


RUNTIMES = [
    pytest.param(
        name, marks=pytest.mark.skipif(not works(name), reason=f"{name} does not work here")
    )
    for name in get_args(RuntimeName)
    if name != "auto"
]
