"""The operator's library and the local cloud speak the same language."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from aiocoap import POST

from localcloud.cloud import LocalCloud
from localcloud.settings import CloudSettings
from protocol.client import connect
from protocol.credentials import CertificateCredential
from provisioning.errors import AccessDenied, AlreadyExists, InvalidRequest
from provisioning.key_pair import KeyPair
from provisioning.management import Management
from provisioning.pki import create_ca, issue_device
from tests.support.cloud import get, request

T = TypeVar("T")
JSON, CBOR = 50, 60


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[LocalCloud]:
    settings = CloudSettings(coap_port=0, http_port=0, project="Warehouse", organization="Acme")
    async with LocalCloud(tmp_path / "cloud", settings) as cloud:
        yield cloud


@pytest.fixture
def management(cloud: LocalCloud) -> Iterator[Management]:
    with Management(cloud.http_url, cloud.api_key, cloud.project.id) as management:
        yield management


async def off_the_loop(call: Callable[[], T]) -> T:
    """The cloud lives in this event loop, and the client blocks."""
    return await asyncio.to_thread(call)


async def test_a_device_with_an_issued_certificate_is_adopted_and_gets_a_deployment(
    cloud: LocalCloud, management: Management, tmp_path: Path
) -> None:
    ca = create_ca(KeyPair.in_folder(tmp_path, "ca"), "Warehouse 7")
    issued = issue_device(ca, KeyPair.in_folder(tmp_path, "client"), cloud.project.id, "camera-12")
    await off_the_loop(lambda: management.upload_ca(ca.certificate.read_bytes()))
    credential = CertificateCredential(issued.certificate, issued.key, cloud.server_ca)
    link = await connect(*cloud.coap_address, credential)
    try:
        assert (await get(link, ".u/desired", accept=CBOR)).payload == b"\xa0"
        device_id = await off_the_loop(lambda: deploy(management, "camera-12"))
        manifest = json.loads((await get(link, ".u/desired", accept=JSON)).payload)
        assert [c["version"] for c in manifest["components"]] == ["2"]
        report = json.dumps({"s": 0, "r": 1, "pkg": "ai-model", "v": "2"}).encode()
        await link.request(request(POST, ".u/c/ai-model", report, content_format=JSON))
    finally:
        await link.close()
    device = await off_the_loop(lambda: management.device(device_id))
    assert (device.certificate_id, device.updates["ai-model"].version) == ("camera-12", "2")
    events = await off_the_loop(lambda: list(management.ota_events(device_id=device_id)))
    assert [(event.event_type, event.current_version) for event in events] == [("IDLE", "2")]


def deploy(management: Management, certificate_id: str) -> str:
    (device,) = management.devices(name=certificate_id)
    cohort = management.create_cohort("cameras")
    management.join_cohort(device.id, cohort)
    artifact = management.publish("ai-model", "2", b"model")
    assert management.publish("ai-model", "2", b"model") == artifact
    deployment = management.deploy(cohort, "second model", [artifact.id])
    assert management.cohort(cohort).active_deployment_id == deployment.deployment_id
    assert [found.deployment_id for found in management.deployments(cohort)] == [
        deployment.deployment_id
    ]
    return device.id


async def test_refusals_of_the_local_cloud_are_understood(
    cloud: LocalCloud, management: Management
) -> None:
    def refusals() -> None:
        management.create_device("camera-1")
        with pytest.raises(AlreadyExists):
            management.create_device("camera-1")
        with pytest.raises(InvalidRequest, match="ObjectID"):
            management.device("nonsense")
        with (
            Management(cloud.http_url, "some-other-key", cloud.project.id) as stranger,
            pytest.raises(AccessDenied),
        ):
            list(stranger.devices())

    await off_the_loop(refusals)


async def test_state_and_credentials_come_back_as_they_were_sent(management: Management) -> None:
    def there_and_back() -> None:
        device = management.create_device("camera-1")
        credential = management.add_psk(device.id, "camera-1", "a-secret")
        assert credential.identity == f"camera-1@{management.project}"
        assert list(management.credentials(device.id)) == [credential]
        management.set_device_state(device.id, "desired/rate", [1, {"a": None}])
        assert management.device_state(device.id, "desired") == {"rate": [1, {"a": None}]}

    await off_the_loop(there_and_back)


async def test_more_devices_than_a_page_holds_are_all_listed(management: Management) -> None:
    def listed() -> int:
        for number in range(101):
            management.create_device(f"camera-{number}")
        return len({device.id for device in management.devices()})

    assert await off_the_loop(listed) == 101
