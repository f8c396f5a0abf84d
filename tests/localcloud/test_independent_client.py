"""Debian's coap-client-openssl, which shares no code with ours, reads the cloud."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from localcloud.settings import CloudSettings
from protocol.formats import ContentFormat
from protocol.manifest import decode_manifest
from tests.localcloud.conftest import UNLIMITED
from tests.support.cloud import Bench, Operator
from tests.support.pki import Authority
from tests.support.programs import COAP_CLIENT, needs_coap_client

MODEL = bytes(number % 253 for number in range(9 * 1024 + 5))

pytestmark = needs_coap_client


@pytest.fixture
def settings() -> CloudSettings:
    """The program gives up at 4.29, and several runs of it count as one device."""
    return UNLIMITED


async def _fetch(
    bench: Bench, tmp_path: Path, path: str, who: Sequence[str], *options: str
) -> bytes:
    output = tmp_path / "fetched"
    output.unlink(missing_ok=True)
    host, port = bench.cloud.coap_address
    process = await asyncio.create_subprocess_exec(
        COAP_CLIENT,
        *("-v", "6", "-B", "20", "-o", str(output), *who, *options),
        f"coaps://{host}:{port}/{path}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert output.exists(), said.decode(errors="replace")
    return output.read_bytes()


@pytest.fixture(params=["psk", "certificate"])
async def who(
    request: pytest.FixtureRequest, bench: Bench, operator: Operator, authority: Authority
) -> list[str]:
    """The program's options for a device in the cohort of a deployment."""
    cohort = await operator.cohort("bench")
    await operator.deploy(cohort, (await operator.upload("ai-model", "1", MODEL))["id"])
    device = await operator.device("camera-1", cohort)
    if request.param == "psk":
        return ["-u", device.credential.identity, "-k", device.credential.key.decode()]
    await operator.trust(authority)
    issued = authority.device("camera-1", bench.cloud.project.id)
    trusted = str(bench.cloud.server_ca)
    return ["-c", str(issued.certificate), "-j", str(issued.key), "-C", trusted, "-R", trusted]


async def test_it_gets_the_manifest_and_the_component_block_wise(
    bench: Bench, operator: Operator, tmp_path: Path, who: list[str]
) -> None:
    payload = await _fetch(bench, tmp_path, ".u/desired", who, "-A", "60")
    manifest = decode_manifest(payload, ContentFormat.CBOR)
    [component] = manifest.components
    assert (component.package, component.size) == ("ai-model", len(MODEL))
    uri = component.uri.lstrip("/")
    assert await _fetch(bench, tmp_path, uri, who, "-b", "1024") == MODEL
    assert await _fetch(bench, tmp_path, uri, who, "-b", "512") == MODEL


async def test_it_follows_the_manifest(bench: Bench, operator: Operator, tmp_path: Path) -> None:
    cohort = await operator.cohort("bench")
    model = await operator.upload("ai-model", "1", MODEL)
    device = await operator.device("camera-1", cohort)
    who = ["-u", device.credential.identity, "-k", device.credential.key.decode()]
    host, port = bench.cloud.coap_address
    process = await asyncio.create_subprocess_exec(
        COAP_CLIENT,
        *("-s", "60", "-B", "60", "-w", *who, f"coaps://{host}:{port}/.u/desired"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"{}\n"
            await operator.deploy(cohort, model["id"])
            pushed = await process.stdout.readline()
    finally:
        process.kill()
        await process.wait()
    assert [c.package for c in decode_manifest(pushed, ContentFormat.JSON).components] == [
        "ai-model"
    ]
