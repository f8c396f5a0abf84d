"""The command itself: what it prints, what it survives, how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from localcloud.cloud import LocalCloud
from localcloud.errors import DataDirectoryError
from protocol.client import connect
from protocol.formats import ContentFormat
from tests.localcloud.conftest import SETTINGS
from tests.support.cloud import Bench, Operator, get, http_client
from tests.support.json_outputs import read_output

MODEL = bytes(5000)
# The command as ``edgeferry cloud`` mounts it, without the other packages' commands.
COMMAND = (
    "import typer; from localcloud.cli import register; app = typer.Typer(); register(app); app()"
)


class Running:
    """A cloud in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, said: dict[str, str]) -> None:
        self.process = process
        self.said = said
        key = Path(said["api_key_file"]).read_text().strip()
        self.operator = Operator(said["http"], key, said["project"], said["organization"])

    @property
    def coap_address(self) -> tuple[str, int]:
        host, _, port = self.said["coap"].removeprefix("coaps://").rpartition(":")
        return host, int(port)


async def _spawn(data: Path, *arguments: str) -> asyncio.subprocess.Process:
    free = ("--coap-port", "0", "--http-port", "0")
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COMMAND, "--data", str(data), *free, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def _running(data: Path, *arguments: str) -> AsyncIterator[Running]:
    process = await _spawn(data, "--json", *arguments)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = await process.stdout.readline()
        assert line, (await process.stderr.read()).decode()
        running = Running(process, read_output(["cloud"], line.decode()))
        yield running
        await running.operator.http.aclose()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_says_where_it_is_and_ends_cleanly_on_sigterm(tmp_path: Path) -> None:
    data = tmp_path / "cloud"
    async with _running(data, "--project", "My Fleet", "--organization", "Acme") as running:
        said = running.said
        assert (said["project"], said["organization"]) == ("my-fleet", "acme")
        assert said["coap"].startswith("coaps://127.0.0.1:")
        assert said["server_ca"] == str(data / "pki" / "server-ca.crt.pem")
        assert (await running.operator.call("GET", "/projects"))["list"][0]["name"] == "My Fleet"
        running.process.send_signal(signal.SIGTERM)
        output, errors = await running.process.communicate()
    assert (running.process.returncode, output, errors) == (0, b"", b"")
    private = [path for path in data.rglob("*") if path.is_file() and path.suffix != ".pem"]
    private += list((data / "pki").glob("*.key.pem"))
    assert all(path.stat().st_mode & 0o077 == 0 for path in private)


async def test_sigkill_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    data = tmp_path / "cloud"
    async with _running(data) as running:
        operator = running.operator
        cohort = await operator.cohort("bench")
        artifact = await operator.upload("ai-model", "1", MODEL)
        device = await operator.device("camera-1", cohort)
        await operator.call(
            "POST", f"{operator.project}/devices/{device.id}/data/config", {"fps": 10}
        )
        deployment = await operator.deploy(cohort, artifact["id"])
        link = await connect(*running.coap_address, device.credential)
        before = await get(link, ".u/desired", accept=int(ContentFormat.CBOR))
        running.process.kill()
        await running.process.wait()
        await link.close()
    async with _running(data) as again:
        assert again.said["api_key_file"] == running.said["api_key_file"]
        path = f"{again.operator.owned}/cohorts/{cohort}/deployments/{deployment['deploymentId']}"
        assert (await again.operator.call("GET", path))["data"] == deployment
        link = await connect(*again.coap_address, device.credential)
        after = await get(link, ".u/desired", accept=int(ContentFormat.CBOR))
        assert after.payload == before.payload
        assert (await get(link, ".u/c/ai-model@1")).payload == MODEL[:1024]
        assert (await get(link, ".d/config/fps")).payload == b"10"
        await link.close()


async def test_bytes_without_a_record_are_collected_at_the_next_start(tmp_path: Path) -> None:
    async with LocalCloud(tmp_path, SETTINGS) as cloud:
        kept = cloud.store.artifacts.create(cloud.project.id, "main", "1", MODEL)
    # What a kill between the file and its record leaves, finished and unfinished.
    (tmp_path / "artifacts" / ("0" * 64)).write_bytes(b"orphan")
    (tmp_path / "artifacts" / "half.tmp").write_bytes(b"half")
    async with LocalCloud(tmp_path, SETTINGS) as cloud:
        assert [path.name for path in (tmp_path / "artifacts").iterdir()] == [kept.sha256]
        assert cloud.store.artifacts.get(cloud.project.id, kept.id) == kept


async def test_two_clouds_can_not_share_a_directory(bench: Bench) -> None:
    data = bench.cloud.api_key_file.parent
    process = await _spawn(data)
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert "in use by another local cloud" in errors.decode()


async def test_a_taken_port_is_named(bench: Bench, tmp_path: Path) -> None:
    port = bench.cloud.http_url.rpartition(":")[2]
    process = await _spawn(tmp_path / "other", "--http-port", port)
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert f"TCP {port}" in errors.decode()


async def test_a_directory_of_somebody_else_is_told_from_a_taken_port(tmp_path: Path) -> None:
    (tmp_path / "operator.toml").mkdir()
    process = await _spawn(tmp_path)
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert "operator.toml" in errors.decode()
    assert "listen" not in errors.decode()


async def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "cloud.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(DataDirectoryError, match=r"cloud\.db is no usable database"):
        async with LocalCloud(tmp_path, SETTINGS):
            pass


async def test_a_restart_keeps_the_server_certificate_and_the_key(tmp_path: Path) -> None:
    async with LocalCloud(tmp_path, SETTINGS) as first:
        key, ca = first.api_key, first.server_ca.read_bytes()
    async with LocalCloud(tmp_path, SETTINGS) as second:
        assert (second.api_key, second.server_ca.read_bytes()) == (key, ca)
        headers = {"x-api-key": key}
        async with http_client(second.http_url, headers) as client:
            assert (await client.get("/v1/projects")).status_code == 200


async def test_sequence_numbers_grow_across_restarts(tmp_path: Path) -> None:
    sequences: list[int] = []
    for _ in range(2):
        async with LocalCloud(tmp_path, SETTINGS) as cloud:
            store, project = cloud.store, cloud.project.id
            if not sequences:
                store.cohorts.create(project, "bench")
            for _ in range(3):
                store.deployments.create(project, "bench", "", [])
                device = store.devices.create(project, f"d{len(sequences)}", (), "bench")
                manifest = store.deployments.manifest_for(device.id)
                sequences.append(json.loads(manifest.json)["sequenceNumber"])
    assert sequences == sorted(set(sequences))
