"""An agent and a local cloud in the test's own event loop, over real DTLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from agent.assembly import Agent
from agent.commands.inspection import Inspector
from agent.config import Settings
from localcloud.cloud import LocalCloud
from localcloud.settings import CloudSettings
from tests.support.cloud import Bench, Json, Operator, TestDevice
from tests.support.tiny_models import TinyModel

CLOUD = CloudSettings(coap_port=0, http_port=0, project="Warehouse", rate_limit=None)
LABELS = b"red\ngreen\n"


class RemoteDevice:
    """A device whose agent can be started and stopped, and the operator's hand on it."""

    def __init__(self, state_dir: Path, bench: Bench, device: TestDevice, cohort: str) -> None:
        self.state_dir = state_dir
        self.bench = bench
        self.operator: Operator = bench.operator
        self.id = device.id
        self._credential = device.credential
        self._cohort = cohort
        self._setting_ids: dict[str, str] = {}

    def settings(self, **tables: Any) -> Settings:
        """A configuration for this device."""
        host, port = self.bench.cloud.coap_address
        golioth = {
            "uri": f"coaps://{host}:{port}",
            "psk_id": self._credential.identity,
            "psk": self._credential.key.decode(),
            "requests_per_second": 0,
            **tables.pop("golioth", {}),
        }
        update = {"window_frames": 5, "first_retry_seconds": 0.5, **tables.pop("update", {})}
        state_dir = {"state_dir": self.state_dir}
        return Settings(golioth=golioth, device=state_dir, update=update, **tables)

    @asynccontextmanager
    async def agent(self, **tables: Any) -> AsyncIterator[Agent]:
        """A running agent."""
        with ExitStack() as resources:
            agent = Agent(self.settings(**tables), resources)
            running = asyncio.create_task(agent.run())
            try:
                yield agent
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running

    async def set(self, key: str, kind: str, value: object) -> None:
        """Create or change a setting of the project."""
        if key in self._setting_ids:
            path = f"{self.operator.project}/settings/{self._setting_ids[key]}"
            await self.operator.call("PUT", path, {"value": value})
            return
        body = {"key": key, "dataType": kind, "value": value}
        made = await self.operator.call("POST", f"{self.operator.project}/settings", body)
        self._setting_ids[key] = made["data"]["id"]

    async def unset(self, key: str) -> None:
        """Remove a setting."""
        path = f"{self.operator.project}/settings/{self._setting_ids.pop(key)}"
        await self.operator.call("DELETE", path)

    async def sync(self) -> Json:
        """How the cloud sees the device's settings."""
        answer = await self.operator.call("GET", f"{self.operator.project}/devices/{self.id}")
        return dict(answer["data"]["metadata"]["lastSettingsStatus"])

    async def call(self, method: str, *params: object) -> tuple[int, Any]:
        """Call the device: its code and detail."""
        path = f"{self.operator.project}/devices/{self.id}/rpc"
        answer = await self.operator.call("POST", path, {"method": method, "params": list(params)})
        return int(answer["statusCode"]), answer["detail"]

    async def state(self, path: str) -> Any:
        """A value of its LightDB State."""
        answer = await self.operator.call(
            "GET", f"{self.operator.project}/devices/{self.id}/data/{path}"
        )
        return answer["data"]

    async def desire(self, value: object) -> None:
        """Write what the device should do."""
        path = f"{self.operator.project}/devices/{self.id}/data/edgeferry/desired"
        await self.operator.call("POST", path, value)

    async def deploy(self, version: str, trailing_bytes: int = 0) -> None:
        """Deploy a model of that version with its labels."""
        model = TinyModel().build() + version.encode() + bytes(trailing_bytes)
        files = {"ai-model": model, "labels": LABELS}
        made = [await self.operator.upload(n, version, body) for n, body in files.items()]
        await self.operator.deploy(self._cohort, *(artifact["id"] for artifact in made))

    def status(self) -> Json:
        """What ``edgeferry status`` shows; not to be called on the event loop."""
        inspector = Inspector(self.settings())
        try:
            return inspector.status()
        finally:
            inspector.close()


@asynccontextmanager
async def remote_device(
    folder: Path, settings: CloudSettings = CLOUD
) -> AsyncIterator[RemoteDevice]:
    """A cloud with one device in a cohort; its agent does not run yet."""
    async with LocalCloud(folder / "cloud", settings) as cloud, AsyncExitStack() as links:
        bench = Bench(cloud, links)
        cohort = await bench.operator.cohort("cameras")
        device = await bench.operator.device("camera-1", cohort)
        yield RemoteDevice(folder / "device", bench, device, cohort)
