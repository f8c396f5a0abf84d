"""``edgeferry provision enroll`` and ``revoke``: from a name to a device that talks, and back."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config import load_settings
from demo.stage import await_that
from localcloud.launch import describe
from protocol.errors import ProtocolError
from protocol.session import DeviceSession
from provisioning.resources import Device
from tests.support.programs import COAP_CLIENT, needs_coap_client, needs_openssl, openssl
from tests.support.provisioning import PASSPHRASE, BackgroundCloud, Operator
from tests.support.waiting import PATIENCE

ENROLLED, KEPT = "enrolled", "already there"


def devices(cloud: BackgroundCloud) -> dict[str, Device]:
    with cloud.management() as management:
        return {device.name: device for device in management.devices()}


def session(
    configuration: Path, told: Callable[[bool, ProtocolError | None], None]
) -> DeviceSession:
    """A device's session with what a pack's configuration says."""
    golioth = load_settings(configuration).golioth
    return DeviceSession(
        *golioth.address,
        golioth.source().read,
        on_manifest=lambda _manifest: None,
        on_connection=told,
    )


async def connects(configuration: Path) -> bool:
    """Whether the device gets in and stays: a refusal shows just after the handshake too."""
    states: asyncio.Queue[bool] = asyncio.Queue()
    device = session(configuration, lambda up, _error: states.put_nowait(up))
    running = asyncio.create_task(device.run())
    try:
        async with asyncio.timeout(PATIENCE):
            if not await states.get():
                return False
            try:
                await device.fetch_manifest()
            except ProtocolError:
                return False
            return True
    finally:
        await ended(running)


async def ended(session: asyncio.Task[None]) -> None:
    """A session ends when it is cancelled, also in the moment in which it is refused."""
    session.cancel()
    await asyncio.wait([session], timeout=PATIENCE)
    assert session.cancelled()


def enroll_in_place(member: Operator, *words: str | Path) -> Path:
    """Enroll with a pack that is used where it is made."""
    name = words[0]
    pack = member.packs / name
    member.done("enroll", *words, "--install-dir", pack)
    return pack / "agent.toml"


async def test_a_device_connects_with_the_pack_it_was_given(
    member: Operator, running_cloud: BackgroundCloud
) -> None:
    configuration = enroll_in_place(member, "door-1", "--cohort", "doors")
    assert devices(running_cloud)["door-1"].certificate_id is None
    assert await connects(configuration)
    found = devices(running_cloud)["door-1"]
    assert (found.certificate_id, found.cohort_id) == ("door-1", "doors")


async def test_a_tarball_is_unpacked_where_systemd_takes_credentials(
    member: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    member.done("enroll", "door-2", "--tar")
    with tarfile.open(member.packs / "door-2.tar.gz") as archive:
        archive.extractall(tmp_path / "root", filter="tar")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "root/etc/credstore"))
    assert await connects(tmp_path / "root/etc/edgeferry/agent.toml")


@needs_coap_client
def test_libcoap_connects_with_a_pack(member: Operator, running_cloud: BackgroundCloud) -> None:
    member.done("enroll", "door-3")
    pack = member.packs / "door-3"
    gateway = describe(running_cloud.cloud)["coap"]
    client = (COAP_CLIENT, "-B", "10", "-c", pack / "edgeferry.crt")
    # libcoap 4.3.1 shows no intermediates, and takes the server's roots with -R.
    trust = ("-j", pack / "edgeferry.key", "-C", pack / "edgeferry.ca", "-R", pack / "edgeferry.ca")
    words = (*client, *trust, "-m", "get", f"{gateway}/hello")
    answer = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert answer.stdout.strip() == "Hello door-3", answer.stderr


async def test_an_intermediate_signs_for_a_project_that_knows_the_root_only(
    bare: Operator, running_cloud: BackgroundCloud
) -> None:
    bare.done("ca", "init", "--intermediate")
    bare.env["EDGEFERRY_OPERATOR"] = str(running_cloud.operator_file)
    with running_cloud.management() as management:
        management.upload_ca((bare.ca / "ca.crt.pem").read_bytes())
    assert await connects(enroll_in_place(bare, "door-4"))


async def test_a_pre_shared_key_needs_no_ca(bare: Operator, running_cloud: BackgroundCloud) -> None:
    bare.env["EDGEFERRY_OPERATOR"] = str(running_cloud.operator_file)
    out = ("--out", bare.folder / "packs", "--install-dir", bare.folder / "packs" / "lab-1")
    command = ("enroll", "lab-1", "--psk", "--cohort", "lab", "--json", *out)
    assert bare.done(*command).outcomes == {"lab-1": ENROLLED}
    pack = bare.folder / "packs" / "lab-1"
    secret = pack / "edgeferry.psk"
    assert secret.stat().st_mode & 0o777 == 0o600
    run = bare.done(*command)
    assert run.outcomes == {"lab-1": KEPT}
    assert secret.read_text().strip() not in run.output
    assert await connects(pack / "agent.toml")
    with running_cloud.management() as management:
        (key,) = management.credentials(devices(running_cloud)["lab-1"].id)
    assert key.pre_shared_key == secret.read_text().strip()


def test_a_lost_pack_gets_the_key_that_the_project_has(
    bare: Operator, running_cloud: BackgroundCloud
) -> None:
    bare.env["EDGEFERRY_OPERATOR"] = str(running_cloud.operator_file)
    command = ("enroll", "lab-2", "--psk", "--out")
    for folder in ("one", "two"):
        bare.done(*command, bare.folder / folder)
    one, two = ((bare.folder / f / "lab-2" / "edgeferry.psk").read_text() for f in ("one", "two"))
    assert one == two
    (bare.folder / "one" / "lab-2" / "edgeferry.psk").write_text("another\n")
    refused = bare.run(*command, bare.folder / "one", "--json")
    assert (refused.status, "holds another credential" in refused.output) == (1, True)


async def test_a_device_of_zero_touch_joins_its_cohort_after_its_first_connection(
    member: Operator, running_cloud: BackgroundCloud
) -> None:
    where = ("--install-dir", member.packs / "zero-1")
    command = ("enroll", "zero-1", "--zero-touch", "--cohort", "doors", "--json", *where)
    assert member.done(*command).outcomes == {"zero-1": "awaited"}
    assert "zero-1" not in devices(running_cloud)
    assert await connects(member.packs / "zero-1" / "agent.toml")
    assert member.done(*command).outcomes == {"zero-1": KEPT}
    assert devices(running_cloud)["zero-1"].cohort_id == "doors"


@needs_openssl
async def test_a_device_with_golioths_own_certificates_is_enrolled_without_a_pack(
    member: Operator, running_cloud: BackgroundCloud, tmp_path: Path
) -> None:
    """Authority and device made by the commands of Golioth's scripts."""
    root, root_key, key, csr, certificate = (tmp_path / n for n in ("r", "rk", "k", "c", "d"))
    for name in (root_key, key):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name)
    key.chmod(0o600)
    self_sign = ("req", "-x509", "-new", "-nodes", "-key", root_key, "-sha256", "-days", "1024")
    openssl(*self_sign, "-subj", "/C=BR/CN=Root golioth", "-out", root)
    openssl("req", "-new", "-key", key, "-subj", "/C=BR/O=warehouse/CN=own-1", "-out", csr)
    sign = ("x509", "-req", "-in", csr, "-CA", root, "-CAkey", root_key, "-CAcreateserial")
    openssl(*sign, "-out", certificate, "-days", "500", "-sha256")
    with running_cloud.management() as management:
        management.upload_ca(root.read_bytes())
    command = ("enroll", "own-1", "--no-certificate", "--json")
    assert member.done(*command).outcomes == {"own-1": ENROLLED}
    assert not member.packs.exists()
    addresses = describe(running_cloud.cloud)
    configuration = tmp_path / "agent.toml"
    configuration.write_text(
        f'[golioth]\nuri = "{addresses["coap"]}"\nserver_ca = "{addresses["server_ca"]}"\n'
        f'certificate = "{certificate}"\nprivate_key = "{key}"\n'
    )
    assert await connects(configuration)
    assert devices(running_cloud)["own-1"].certificate_id == "own-1"


async def test_a_revoked_device_is_thrown_out_and_stays_out(
    member: Operator, running_cloud: BackgroundCloud
) -> None:
    configuration = enroll_in_place(member, "thief-1")
    down = asyncio.Event()
    device = session(configuration, lambda up, _error: None if up else down.set())
    running = asyncio.create_task(device.run())
    async with asyncio.timeout(PATIENCE):
        await device.wait_connected()
        await device.fetch_manifest()
        await asyncio.to_thread(member.done, "device", "revoke", "thief-1")
        await down.wait()
    await ended(running)
    assert not await connects(configuration)
    rows = member.done("device", "list", "--json").document["certificates"]
    assert [row["state"] for row in rows] == ["revoked"]
    for command in (("device", "issue"), ("device", "renew"), ("enroll",)):
        refused = member.run(*command, "thief-1", "--json")
        assert (refused.status, "was revoked on" in refused.output) == (1, True)
    # Again is no harm.
    member.done("device", "revoke", "thief-1")


async def test_a_device_that_never_connected_can_be_revoked(
    member: Operator, running_cloud: BackgroundCloud
) -> None:
    pack = member.packs / "lost-1"
    member.done("device", "issue", "lost-1", "--install-dir", pack)
    member.done("device", "revoke", "lost-1")
    assert not await connects(pack / "agent.toml")
    assert not devices(running_cloud)["lost-1"].enabled


def test_a_name_that_nobody_knows_is_not_revoked(
    member: Operator, running_cloud: BackgroundCloud, own_name: str
) -> None:
    """A slip of the pen must not look as if the right device were shut out."""
    refused = member.run("device", "revoke", own_name, "--json")
    assert (refused.status, refused.outcomes) == (1, {own_name: "failed"})
    assert "check the name" in refused.output
    assert own_name not in devices(running_cloud)


def test_a_device_with_a_key_is_revoked_without_a_ca(
    connected: Operator, running_cloud: BackgroundCloud, own_name: str
) -> None:
    gateway = ("--gateway", "coaps://cloud.local", "--out", connected.folder / "packs")
    connected.done("enroll", own_name, "--psk", *gateway)
    revoked = connected.done("device", "revoke", own_name)
    assert "there is no CA here" in revoked.output
    assert not devices(running_cloud)[own_name].enabled


async def test_a_foreign_ca_does_not_help(
    bare: Operator, running_cloud: BackgroundCloud, tmp_path: Path
) -> None:
    """A CA of the same name that nobody registered."""
    bare.done("ca", "init")
    bare.env["EDGEFERRY_OPERATOR"] = str(running_cloud.operator_file)
    pack = bare.packs / "stranger-1"
    bare.done("device", "issue", "stranger-1", "--install-dir", pack)
    assert not await connects(pack / "agent.toml")
    run = bare.done("enroll", "stranger-1")
    assert "let the project accept the CA: edgeferry provision ca upload" in run.output


def test_a_hardware_id_that_another_device_has_is_told(
    member: Operator, running_cloud: BackgroundCloud
) -> None:
    table = member.folder / "devices.csv"
    table.write_text("name,hardware_id\nhard-1,0815\nhard-2,0815\n")
    run = member.run("enroll", "--from", table, "--json")
    assert sorted(run.outcomes.values()) == [ENROLLED, "failed"]
    assert "hardware id already in use: 0815" in run.output


@pytest.mark.parametrize(
    ("words", "env", "said"),
    [
        (("enroll", "a", "--psk", "--zero-touch"), {}, "exclude each other"),
        (("enroll", "a"), {"EDGEFERRY_PROJECT": ""}, "no project: give --project"),
        (("enroll", "a"), {}, "no API key for project warehouse"),
        (("enroll", "a"), {"GOLIOTH_API_KEY": "a key"}, "holds blanks"),
        (("enroll",), {}, "which device?"),
        (("enroll", "a", "--url", "api.golioth.io"), {}, "is no https://host[:port] address"),
        (("enroll", "a", "--url", "http://api:99999"), {}, "--url: 'http://api:99999' is no"),
        (("enroll", "a", "--gateway", "coap://x"), {}, "is no coaps://host"),
    ],
)
def test_what_can_not_be_meant_is_refused_before_anything_is_done(
    operator: Operator, words: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    refused = operator.run(*words, **{"GOLIOTH_API_KEY": "", **env})
    assert (refused.status, said in refused.error) == (2, True), refused.error


def test_a_key_that_is_not_accepted_stops_the_run(
    member: Operator, running_cloud: BackgroundCloud
) -> None:
    names = [f"never-{number}" for number in range(30)]
    run = member.run("enroll", *names, "--no-certificate", "--json", GOLIOTH_API_KEY="wrong")
    assert (run.status, "check the API key" in run.document["stopped"]) == (1, True)
    assert len(run.outcomes) < 20


def test_what_was_issued_is_told_though_the_cloud_is_away(operator: Operator) -> None:
    away = ("--url", "http://127.0.0.1:1", "--gateway", "coaps://cloud.local", "--json")
    run = operator.run("enroll", "camera-1", *away, GOLIOTH_API_KEY="key")
    assert (run.status, run.outcomes) == (1, {"camera-1": "failed"})
    assert "no answer from http://127.0.0.1:1/v1/" in run.document["stopped"]
    assert (operator.packs / "camera-1").exists()


def test_fifty_devices_survive_a_kill_in_the_middle(
    member: Operator, running_cloud: BackgroundCloud
) -> None:
    """The first run is killed somewhere in its work; the second does the rest and no more."""
    table = member.folder / "devices.csv"
    names = [f"fleet-{number:02}" for number in range(50)]
    table.write_text("name,cohort\n" + "".join(f"{name},fleet\n" for name in names))
    command = (sys.executable, "-m", "commands.main", "provision", "enroll", "--from", str(table))
    env = {**os.environ, **member.env, "EDGEFERRY_CA": str(member.ca)}
    first = subprocess.Popen(command, env={**env, "EDGEFERRY_CA_PASSPHRASE": PASSPHRASE})
    seventh = member.packs / "fleet-07"
    await_that(
        "some packs", lambda: seventh.exists() or first.poll() is not None, PATIENCE, every=0.001
    )
    first.kill()
    first.wait()
    run = member.done("enroll", "--from", table, "--json")
    assert sorted(run.outcomes) == names
    assert set(run.outcomes.values()) <= {ENROLLED, KEPT}
    fleet = [device for device in devices(running_cloud).values() if device.cohort_id == "fleet"]
    assert sorted(device.name for device in fleet) == names
    listed = member.done("device", "list", "--all", "--json").document["certificates"]
    assert [row["name"] for row in listed] == names
    assert member.done("enroll", "--from", table, "--json").document["summary"] == {KEPT: 50}
