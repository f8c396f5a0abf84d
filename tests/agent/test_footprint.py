"""What each process must not load: a small device has little memory, and each start costs time."""

from __future__ import annotations

import subprocess
import sys

import pytest

LINK = {"OpenSSL", "aiocoap", "cryptography"}
PICTURES = {"cv2", "numpy"}
PREVIEW = {"prometheus_client", "starlette", "uvicorn"}
SETTINGS = {"pydantic", "pydantic_settings"}
TERMINAL = {"rich", "typer"}
CLOUD = {"fastapi", "httpx", "nicegui", "scipy"}
EVERYWHERE = {"pandas", *CLOUD}

NEVER = {
    "import commands.main": {
        *{"asyncio", "rich", "sqlite_utils", "ssl", "statemachine"},
        *LINK,
        *PICTURES,
        *PREVIEW,
        *SETTINGS,
    },
    "import agent.daemon, agent.commands.inspection": {*PICTURES, *PREVIEW, *TERMINAL},
    "import agent.worker.main": {
        *{"sqlite_utils", "statemachine"},
        *LINK,
        *PICTURES,
        *PREVIEW,
        *TERMINAL,
    },
    # It reads the release's own settings, if there are any, with pydantic.
    "from agent.worker.engines.engine_process import _import_libraries; _import_libraries();"
    "import agent.worker.camera.pictures, agent.worker.model.material": {
        *{"asyncio", "sqlite_utils", "ssl", "statemachine"},
        *LINK,
        *PREVIEW,
        *SETTINGS,
        *TERMINAL,
    },
    "import agent.worker.camera.capture_process, agent.worker.camera.playing": {
        *{"ai_edge_litert", "asyncio", "sqlite_utils", "ssl", "statemachine"},
        *LINK,
        *PREVIEW,
        *SETTINGS,
        *TERMINAL,
    },
}


def said(program: str) -> str:
    command = (sys.executable, "-c", program)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("imports", NEVER)
def test_a_process_loads_nothing_that_only_others_need(imports: str) -> None:
    unwanted = {*NEVER[imports], *EVERYWHERE}
    loaded = f"import sys\n{imports}\nprint(*sorted({unwanted!r} & set(sys.modules)))"
    assert said(loaded).split() == []


def test_the_workers_libraries_load_after_the_agents_journal() -> None:
    program = "import agent.journal, numpy, cv2; print(numpy.arange(3).sum(), cv2.__name__)"
    assert said(program) == "3 cv2\n"
