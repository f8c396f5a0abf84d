"""``edgeferry`` as an operator types it, and a local cloud that answers meanwhile."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from commands.main import app, exit_status_of
from localcloud.cloud import LocalCloud
from localcloud.launch import describe, write_operator_file
from localcloud.settings import CloudSettings
from provisioning.management import Management

PATIENCE = 20.0
PASSPHRASE = "correct horse battery"

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the openssl program is not installed"
)
needs_coap_client = pytest.mark.skipif(
    shutil.which("coap-client-openssl") is None, reason="libcoap's client is not installed"
)


@dataclass
class Run:
    """What a command printed and how it ended; ``error`` is what people read on stderr."""

    status: int
    output: str
    error: str

    @property
    def document(self) -> Any:
        """The JSON it printed."""
        return json.loads(self.output)

    @property
    def outcomes(self) -> dict[str, str]:
        """What became of each device."""
        return {device["name"]: device["outcome"] for device in self.document["devices"]}


@dataclass
class Operator:
    """An operator's machine: a CA folder, an environment, and the command."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def ca(self) -> Path:
        return self.folder / "ca"

    @property
    def packs(self) -> Path:
        return self.ca / "devices"

    def run(self, *arguments: str | Path, **env: str) -> Run:
        """``edgeferry provision …``; an empty variable is one that is not set."""
        return self.edgeferry("provision", *arguments, **env)

    def edgeferry(self, *arguments: str | Path, **env: str) -> Run:
        """Any command; an empty variable is one that is not set."""
        environment = {
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": "",
            "XDG_DATA_HOME": "",
            "EDGEFERRY_CA": str(self.ca),
            "EDGEFERRY_CA_PASSPHRASE": PASSPHRASE,
            "EDGEFERRY_PROJECT": "warehouse",
            **self.env,
            **env,
        }
        words = [*map(str, arguments)]
        given = {name: value or None for name, value in environment.items()}
        result = CliRunner().invoke(app, words, env=given)
        if result.exception is None or isinstance(result.exception, SystemExit):
            return Run(result.exit_code, result.stdout, result.stderr)
        assert isinstance(result.exception, Exception)
        status = exit_status_of(result.exception)
        if status is None:
            raise result.exception
        return Run(status, result.stdout, str(result.exception))

    def done(self, *arguments: str | Path, **env: str) -> Run:
        """The same, for a command that must succeed."""
        run = self.run(*arguments, **env)
        assert run.status == 0, run.output + run.error
        return run


@dataclass
class BackgroundCloud:
    """A local cloud in a thread of its own."""

    cloud: LocalCloud
    operator_file: Path
    loop: asyncio.AbstractEventLoop

    def management(self) -> Management:
        return Management(self.cloud.http_url, self.cloud.api_key, self.cloud.project.id)

    def in_its_loop(self, call: Callable[[], Any]) -> Any:
        """Call something of the cloud where that is allowed."""

        async def there() -> Any:
            return call()

        return asyncio.run_coroutine_threadsafe(there(), self.loop).result(PATIENCE)


@contextmanager
def cloud_in_background(folder: Path) -> Iterator[BackgroundCloud]:
    """A cloud with the project ``warehouse``."""
    started, stop = threading.Event(), asyncio.Event()
    found: list[BackgroundCloud] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        settings = CloudSettings(coap_port=0, http_port=0, project="Warehouse")
        async with LocalCloud(folder, settings) as cloud:
            addresses = describe(cloud)
            write_operator_file(addresses)
            found.append(BackgroundCloud(cloud, Path(addresses["operator_file"]), loop))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(PATIENCE)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def openssl(*arguments: str | Path, ok: bool = True) -> str:
    """What the ``openssl`` program says; it must succeed, or fail where not ``ok``."""
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr
