"""Which device a handshake speaks for, and what it may not touch."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from aiocoap import POST, Code

from protocol.credentials import Credential, PskCredential
from protocol.errors import HandshakeRefused, LinkError, LinkLost
from tests.support.cloud import Bench, Operator, first, get, request
from tests.support.pki import Authority
from tests.support.waiting import PATIENCE, eventually


async def _devices(operator: Operator) -> list[dict[str, object]]:
    return list((await operator.call("GET", f"{operator.project}/devices"))["list"])


async def _greet(bench: Bench, credential: Credential) -> None:
    # A refused certificate shows in TLS 1.2 during the handshake, a foreign project just after it.
    await get(await bench.link(credential), "hello")


async def test_an_unknown_identity_is_refused(bench: Bench) -> None:
    with pytest.raises(HandshakeRefused):
        await bench.link(PskCredential("nobody@warehouse", b"key"))


async def test_a_device_that_can_not_be_looked_up_is_sent_away_and_may_come_again(
    bench: Bench, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_identity: str) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    device = await operator.device("camera-1")
    with monkeypatch.context() as patched:
        patched.setattr(bench.cloud.store.credentials, "owner_of", fail)
        link = await bench.link(device)
        await asyncio.wait_for(link.lost.wait(), PATIENCE)
    assert (await get(await bench.link(device), "hello")).payload == b"Hello camera-1"


async def test_a_certificate_makes_its_device_on_first_contact(
    bench: Bench, operator: Operator, authority: Authority
) -> None:
    await operator.trust(authority)
    assert await _devices(operator) == []
    link = await bench.link(bench.certificate(authority, "camera-7"))
    assert (await get(link, "hello")).payload == b"Hello camera-7"
    [device] = await _devices(operator)
    assert (device["name"], device["certificateId"]) == ("camera-7", "camera-7")
    assert device["hardwareIds"]


async def test_a_certificate_finds_its_device_by_certificate_id(
    bench: Bench, operator: Operator, authority: Authority
) -> None:
    await operator.trust(authority)
    link = await bench.link(bench.certificate(authority, "camera-7"))
    [device] = await _devices(operator)
    await operator.call(
        "PATCH", f"{operator.project}/devices/{device['id']}", {"name": "front door"}
    )
    await link.close()
    again = await bench.link(bench.certificate(authority, "camera-7"))
    assert (await get(again, "hello")).payload == b"Hello front door"
    assert len(await _devices(operator)) == 1


async def test_a_certificate_claims_a_device_of_its_name(
    bench: Bench, operator: Operator, authority: Authority
) -> None:
    await operator.trust(authority)
    device = await operator.device("camera-7")
    await bench.link(bench.certificate(authority, "camera-7"))
    [shown] = await _devices(operator)
    assert (shown["id"], shown["certificateId"]) == (device.id, "camera-7")


async def test_a_taken_name_gets_a_suffix(
    bench: Bench, operator: Operator, authority: Authority
) -> None:
    await operator.trust(authority)
    await bench.link(bench.certificate(authority, "camera-7"))
    [device] = await _devices(operator)
    path = f"{operator.project}/devices/{device['id']}"
    await operator.call("PATCH", path, {"name": "camera-8"})
    await bench.link(bench.certificate(authority, "camera-8"))
    names = [str(device["name"]) for device in await _devices(operator)]
    assert names[0] == "camera-8"
    assert names[1].startswith("camera-8-")


async def test_a_foreign_certificate_is_refused(
    bench: Bench, operator: Operator, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await operator.trust(authority)
    foreign = Authority(tmp_path_factory.mktemp("foreign"), "Root golioth")
    with pytest.raises(LinkError):
        await _greet(bench, bench.certificate(foreign, "camera-7"))
    assert await _devices(operator) == []


async def test_a_ca_counts_only_in_the_project_it_was_uploaded_to(
    bench: Bench, operator: Operator, authority: Authority
) -> None:
    await operator.trust(authority)
    elsewhere = bench.other_operator("Elsewhere")
    for project in ("elsewhere", "no-such-project"):
        with pytest.raises(LinkLost):
            await _greet(bench, bench.certificate(authority, "camera-7", project))
    assert await _devices(elsewhere) == []
    assert await _devices(operator) == []


@pytest.mark.parametrize("uploaded", ["root", "intermediate", "both"])
@pytest.mark.parametrize("sent", ["leaf", "chain"])
async def test_a_device_of_an_intermediate_is_known_by_whatever_the_project_trusts(
    bench: Bench,
    operator: Operator,
    authority: Authority,
    tmp_path: Path,
    uploaded: str,
    sent: str,
) -> None:
    plant = Authority(tmp_path / "plant", "Plant 4", above=authority)
    if uploaded != "intermediate":
        await operator.trust(authority)
    if uploaded != "root":
        await operator.trust(plant, kind="intermediate")
    credential = bench.certificate(plant, "camera-7")
    if sent == "chain":
        with credential.certificate.open("ab") as file:
            file.write(plant.bundle.read_bytes())
    elif uploaded == "root":
        with pytest.raises(LinkError):  # nothing leads from the leaf to the root
            await _greet(bench, credential)
        return
    link = await bench.link(credential)
    assert (await get(link, "hello")).payload == b"Hello camera-7"


async def test_a_chain_counts_only_in_the_project_that_trusts_it(
    bench: Bench, operator: Operator, authority: Authority, tmp_path: Path
) -> None:
    """Another project trusts the intermediate; that must not help a device of this one."""
    other_root = Authority(tmp_path / "other", "Other root")
    plant = Authority(tmp_path / "plant", "Plant 4", above=other_root)
    await operator.trust(authority)
    await bench.other_operator("Elsewhere").trust(plant, kind="intermediate")
    credential = bench.certificate(plant, "camera-7")
    with pytest.raises(LinkLost):
        await _greet(bench, credential)
    assert await _devices(operator) == []


async def test_removing_the_ca_ends_the_sessions_it_vouched_for(
    bench: Bench, operator: Operator, authority: Authority
) -> None:
    ca = await operator.trust(authority)
    by_psk = await bench.link(await operator.device("camera-1"))
    by_certificate = await bench.link(bench.certificate(authority, "camera-7"))
    await operator.call("DELETE", f"{operator.project}/certificates/{ca['id']}")
    await by_certificate.lost.wait()
    assert (await get(by_psk, "hello")).code == Code.VALID
    with pytest.raises(LinkError):
        await _greet(bench, bench.certificate(authority, "camera-7"))


async def test_the_newest_session_of_a_device_wins(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    older = await bench.link(device)
    assert (await get(older, "hello")).code == Code.VALID
    newer = await bench.link(device)
    await older.lost.wait()
    assert (await get(newer, "hello")).code == Code.VALID


@pytest.mark.parametrize("how", ["disable", "delete", "credential"])
async def test_who_loses_access_is_disconnected(bench: Bench, operator: Operator, how: str) -> None:
    device = await operator.device("camera-1")
    path = f"{operator.project}/devices/{device.id}"
    link = await bench.link(device)
    if how == "disable":
        await operator.call("PATCH", path, {"enabled": False})
    elif how == "delete":
        await operator.call("DELETE", path)
    else:
        [credential] = (await operator.call("GET", f"{path}/credentials"))["list"]
        await operator.call("DELETE", f"{path}/credentials/{credential['id']}")
    await link.lost.wait()
    with pytest.raises(HandshakeRefused):
        await bench.link(device)


async def test_a_disabled_certificate_device_is_turned_away(
    bench: Bench, operator: Operator, authority: Authority
) -> None:
    await operator.trust(authority)
    await bench.link(bench.certificate(authority, "camera-7"))
    [device] = await _devices(operator)
    await operator.call("PATCH", f"{operator.project}/devices/{device['id']}", {"enabled": False})
    with pytest.raises(LinkLost):
        await _greet(bench, bench.certificate(authority, "camera-7"))


async def test_a_device_sees_its_own_state_only(bench: Bench, operator: Operator) -> None:
    one, two = await operator.device("camera-1"), await operator.device("camera-2")
    mine, theirs = await bench.link(one), await bench.link(two)
    watching = theirs.observe(request(Code.GET, ".d/secret"))
    assert (await first(watching)).payload == b"null"
    await mine.request(request(POST, ".d/secret", b'"mine"', content_format=50))
    assert (await get(theirs, ".d/secret")).payload == b"null"
    # Golioth's paths name no device; those of the management API lead nowhere.
    for path in (f".d/{one.id}/secret", f"projects/warehouse/devices/{one.id}/data/secret"):
        answer = await get(theirs, path)
        assert b"mine" not in answer.payload
    await theirs.request(request(POST, ".d/secret", b'"theirs"', content_format=50))
    assert (await first(watching)).payload == b'"theirs"'
    assert (await get(mine, ".d/secret")).payload == b'"mine"'


async def test_a_device_is_online_while_its_session_lasts(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    path = f"{operator.project}/devices/{device.id}"
    assert "lastReport" not in (await operator.call("GET", path))["data"]
    link = await bench.link(device)
    await get(link, "hello")
    await link.close()
    store, project = bench.cloud.store, bench.cloud.project.id
    await eventually(lambda: store.devices.get(project, device.id).last_report is not None)
    metadata = (await operator.call("GET", path))["data"]["metadata"]
    assert metadata["lastReport"] == metadata["lastSeenOnline"] <= metadata["lastSeenOffline"]


async def test_a_live_device_is_seen_again_and_again(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    store, project = bench.cloud.store, bench.cloud.project.id

    def seen() -> str:
        return store.devices.get(project, device.id).last_report or ""

    await link.ping(timeout=PATIENCE)
    await eventually(lambda: bool(seen()))
    before = seen()
    await link.ping(timeout=PATIENCE)
    await eventually(lambda: seen() > before)
