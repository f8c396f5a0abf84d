"""``edgeferry provision device``: packs that are whole, registers that are true."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tarfile
import tomllib
from pathlib import Path

import pytest

from provisioning.ca_folder import CaFolder
from tests.support.programs import needs_openssl, openssl
from tests.support.provisioning import Operator


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def text_of(certificate: Path) -> str:
    return openssl("x509", "-in", certificate, "-noout", "-subject", "-ext", "extendedKeyUsage")


@needs_openssl
def test_a_pack_has_all_that_a_device_needs(operator: Operator, tmp_path: Path) -> None:
    bundle, common = tmp_path / "bundle.pem", tmp_path / "common.toml"
    shutil.copy(operator.ca / "ca.crt.pem", bundle)
    common.write_text('[worker]\nsource = "camera:0"\n')
    operator.done(
        *("device", "issue", "camera-1", "--server-ca", bundle, "--agent-settings", common)
    )
    pack = operator.packs / "camera-1"
    secret, public = 0o600, 0o644
    assert modes(pack) == {
        "agent.toml": public,
        "edgeferry.crt": public,
        "edgeferry.key": secret,
        "edgeferry.ca": public,
    }
    assert stat.S_IMODE(pack.stat().st_mode) == 0o700
    said = tomllib.loads((pack / "agent.toml").read_text())
    assert said == {"golioth": {"uri": "coaps://cloud.local"}, "worker": {"source": "camera:0"}}
    openssl("verify", "-x509_strict", "-CAfile", bundle, pack / "edgeferry.crt")
    text = text_of(pack / "edgeferry.crt")
    assert "O = warehouse, CN = camera-1" in text
    assert "TLS Web Client Authentication" in text


def test_a_tarball_holds_the_places_on_the_device(operator: Operator) -> None:
    run = operator.done("device", "issue", "camera-1", "--tar", "--json")
    pack = Path(run.document["devices"][0]["pack"])
    assert stat.S_IMODE(pack.stat().st_mode) == 0o600
    with tarfile.open(pack) as archive:
        members = {m.name: (m.mode, m.uname, m.uid) for m in archive}
    assert members == {
        "etc/edgeferry/agent.toml": (0o644, "root", 0),
        "etc/credstore/edgeferry.crt": (0o644, "root", 0),
        "etc/credstore/edgeferry.key": (0o600, "root", 0),
    }


def test_one_folder_on_the_device_is_named_in_the_configuration(operator: Operator) -> None:
    operator.done("device", "issue", "camera-1", "--install-dir", "/opt/camera")
    said = tomllib.loads((operator.packs / "camera-1" / "agent.toml").read_text())
    assert said["golioth"] == {
        "uri": "coaps://cloud.local",
        "certificate": "/opt/camera/edgeferry.crt",
        "private_key": "/opt/camera/edgeferry.key",
    }


def test_a_list_is_issued_once_however_often_it_is_given(operator: Operator) -> None:
    table = operator.folder / "devices.csv"
    table.write_text("name,cohort\ncamera-1,doors\ncamera-2,\n")
    command = ("device", "issue", "--from", table, "camera-3", "--json")
    assert operator.done(*command).document["summary"] == {"issued": 3}
    before = (operator.packs / "camera-2" / "edgeferry.crt").read_bytes()
    assert operator.done(*command).document["summary"] == {"already there": 3}
    assert (operator.packs / "camera-2" / "edgeferry.crt").read_bytes() == before
    listed = operator.done("device", "list", "--json").document["certificates"]
    assert [(row["name"], row["state"]) for row in listed] == [
        *(("camera-1", "valid"), ("camera-2", "valid"), ("camera-3", "valid"))
    ]


def test_a_pack_that_went_to_its_device_is_not_made_again(operator: Operator) -> None:
    operator.done("device", "issue", "camera-1")
    shutil.rmtree(operator.packs / "camera-1")
    assert operator.done("device", "issue", "camera-1", "--json").outcomes == {
        "camera-1": "already there"
    }
    assert not (operator.packs / "camera-1").exists()


@pytest.mark.parametrize("form", ["--tar", "--json"])
def test_packs_that_a_killed_run_left_are_entered_and_not_doubled(
    operator: Operator, form: str
) -> None:
    """Killed after the packs were there and before the register knew."""
    operator.done("device", "issue", "camera-1", form)
    (operator.ca / "register.db").unlink()
    run = operator.done("device", "issue", "camera-1", "camera-2", "--json")
    assert run.outcomes == {"camera-1": "found and entered", "camera-2": "issued"}
    listed = operator.done("device", "list", "--all", "--json").document["certificates"]
    assert sorted(row["name"] for row in listed) == ["camera-1", "camera-2"]


def test_a_pack_of_another_ca_or_project_is_left_alone(operator: Operator, tmp_path: Path) -> None:
    operator.done("device", "issue", "camera-1", "--project", "elsewhere")
    other = Operator(tmp_path / "other", operator.env)
    other.done("ca", "init")
    for who, ca, said in (
        (operator, operator.ca, "not for camera-1 of project warehouse"),
        (other, other.ca, "of another CA"),
    ):
        refused = who.run(
            "device", "issue", "camera-1", "--ca", ca, "--out", operator.packs, "--json"
        )
        assert (refused.status, refused.outcomes) == (1, {"camera-1": "failed"})
        assert said in refused.document["devices"][0]["detail"]


def test_one_bad_pack_does_not_stop_the_others(operator: Operator) -> None:
    bad = operator.packs / "camera-1"
    bad.mkdir(parents=True)
    (bad / "edgeferry.crt").write_text("no certificate")
    run = operator.run("device", "issue", "camera-1", "camera-2", "--json")
    assert (run.status, run.outcomes) == (1, {"camera-2": "issued", "camera-1": "failed"})
    assert "camera-1 holds no readable certificate" in run.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("camera-1\n", "line 1: no column name"),
        ("name,kohort\ncamera-1,x\n", "unknown column 'kohort'"),
        ("name\ncamera-1\ncamera-1\n", "camera-1 is listed twice"),
        ("name\n../etc\n", "line 2: '../etc' is no name"),
        ("name\ncamera-1,doors\n", "line 2: more fields than columns"),
        ("name\n\n", "which device?"),
        ("name\n\xff\n", "give a CSV file in UTF-8"),
    ],
)
def test_a_list_that_can_not_be_meant_is_refused_whole(
    operator: Operator, content: str, said: str
) -> None:
    table = operator.folder / "devices.csv"
    table.write_bytes(content.encode("latin-1"))
    refused = operator.run("device", "issue", "--from", table)
    assert (refused.status, said in refused.error) == (2, True), refused.error
    assert not operator.packs.exists()


def test_two_runs_do_not_work_in_one_folder(operator: Operator) -> None:
    with CaFolder(operator.ca).locked():
        refused = operator.run("device", "issue", "camera-1")
    assert refused.status == 2
    assert "another edgeferry provision works in" in refused.error


def test_the_lock_of_a_killed_run_is_gone_with_it(operator: Operator) -> None:
    descriptor = os.open(operator.ca / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.close(descriptor)
    operator.done("device", "issue", "camera-1")


# Keys that never leave the device.


def request(operator: Operator, name: str = "camera-1", **env: str) -> tuple[Path, Path]:
    folder = operator.folder / "device"
    key, csr = folder / "edgeferry.key", folder / f"{name}.csr.pem"
    operator.done("device", "request", name, "--key", key, "--csr", csr, **env)
    return key, csr


@needs_openssl
def test_a_request_is_signed_and_the_key_stays_on_the_device(operator: Operator) -> None:
    key, csr = request(operator)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    asked = operator.done("device", "request", "camera-1", "--key", key, "--csr", csr, "--json")
    run = operator.done("device", "sign", csr, "--json")
    (device,) = run.document["devices"]
    assert device["key_fingerprint"] == asked.document["key_fingerprint"]
    pack = Path(device["pack"])
    assert sorted(modes(pack)) == ["agent.toml", "edgeferry.crt"]
    public = openssl("x509", "-in", pack / "edgeferry.crt", "-noout", "-pubkey")
    assert public == openssl("pkey", "-in", key, "-pubout")
    assert operator.done("device", "sign", csr, "--json").outcomes == {"camera-1": "already there"}
    (operator.ca / "register.db").unlink()
    run = operator.done("device", "sign", csr, "--json")
    assert run.document["devices"][0]["certificate"]["origin"] == "signed"


@needs_openssl
@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_a_request_made_by_openssl_is_signed_without_what_else_it_asks_for(
    operator: Operator, form: str
) -> None:
    key, csr = operator.folder / "d.key", operator.folder / "d.csr"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    subject = ("-subj", "/C=BR/O=warehouse/CN=camera-1")
    greedy = ("-addext", "basicConstraints=critical,CA:TRUE")
    openssl("req", "-new", "-key", key, *subject, *greedy, "-outform", form, "-out", csr)
    operator.done("device", "sign", csr)
    text = openssl("x509", "-in", operator.packs / "camera-1" / "edgeferry.crt", "-noout", "-text")
    assert "CA:FALSE" in text
    assert "C = BR, O" not in text


@needs_openssl
def test_a_request_that_can_not_be_meant_is_refused(operator: Operator, tmp_path: Path) -> None:
    key, csr = request(operator, "camera-1", EDGEFERRY_PROJECT="elsewhere")
    refused = operator.run("device", "sign", csr, "--json")
    assert refused.outcomes == {"camera-1": "failed"}
    assert "asks for project 'elsewhere', not 'warehouse'" in refused.output
    openssl("req", "-new", "-key", key, "-subj", "/CN=camera-1", "-out", tmp_path / "no-o")
    openssl("genpkey", "-algorithm", "RSA", "-out", tmp_path / "rsa.key")
    rsa = ("-key", tmp_path / "rsa.key", "-subj", "/O=warehouse/CN=camera-1")
    openssl("req", "-new", *rsa, "-out", tmp_path / "rsa")
    (tmp_path / "none").write_text("-----BEGIN no request")
    for name, said in (
        ("no-o", "must have one O"),
        ("rsa", "not a P-256 key"),
        ("none", "is no certificate request"),
        ("absent", "copy the request from the device again"),
    ):
        refused = operator.run("device", "sign", tmp_path / name)
        assert (refused.status, said in refused.error) == (1, True), refused.error


def test_another_key_of_a_known_device_is_signed_only_when_asked_for(operator: Operator) -> None:
    _, csr = request(operator)
    operator.done("device", "sign", csr)
    shutil.rmtree(operator.folder / "device")
    _, csr = request(operator)
    refused = operator.run("device", "sign", csr, "--json")
    assert "sign with --again" in refused.output
    run = operator.done("device", "sign", csr, "--again", "--json")
    assert run.outcomes == {"camera-1": "issued"}
    aside = [path.name for path in operator.packs.iterdir() if "until" in path.name]
    assert len(aside) == 1


def test_a_device_keeps_its_key_and_its_request(operator: Operator) -> None:
    key, csr = request(operator)
    before = key.read_bytes(), csr.read_bytes()
    request(operator)
    assert (key.read_bytes(), csr.read_bytes()) == before
    refused = operator.run("device", "request", "camera-2", "--key", key, "--csr", csr)
    assert (refused.status, "is not overwritten" in refused.error) == (1, True)


# Renewal.


def test_what_ends_soon_is_renewed_and_the_rest_is_left(operator: Operator) -> None:
    operator.done("device", "issue", "old", "--days", "20")
    operator.done("device", "issue", "young")
    run = operator.done("device", "renew", "--due", "--json")
    assert run.outcomes == {"old": "renewed"}
    assert operator.done("device", "renew", "young", "--json").outcomes == {
        "young": "already there"
    }
    rows = operator.done("device", "list", "--all", "--json").document["certificates"]
    both = [row for row in rows if row["name"] == "old"]
    # Until the old one ends both count.
    assert [row["state"] for row in both] == ["valid", "valid"]
    assert both[0]["key"] != both[1]["key"]
    assert both[0]["not_after"] < both[1]["not_after"]
    names = sorted(path.name for path in operator.packs.iterdir())
    assert names == [
        "old",
        f"old.until-{both[0]['not_after'][:10]}-{both[0]['serial'][:6]}",
        "young",
    ]


@needs_openssl
def test_a_device_that_keeps_its_key_to_itself_keeps_it(operator: Operator) -> None:
    key, csr = request(operator)
    operator.done("device", "sign", csr, "--days", "20")
    operator.done("device", "renew", "camera-1")
    pack = operator.packs / "camera-1"
    assert sorted(modes(pack)) == ["agent.toml", "edgeferry.crt"]
    public = openssl("x509", "-in", pack / "edgeferry.crt", "-noout", "-pubkey")
    assert public == openssl("pkey", "-in", key, "-pubout")


@pytest.mark.parametrize("killed", ["before the new pack", "before the register"])
def test_a_renewal_that_was_killed_is_finished_by_the_next(operator: Operator, killed: str) -> None:
    operator.done("device", "issue", "camera-1", "--days", "20")
    register = operator.ca / "register.db"
    before = register.read_bytes()
    operator.done("device", "renew", "camera-1")
    register.write_bytes(before)
    if killed == "before the new pack":
        shutil.rmtree(operator.packs / "camera-1")
    operator.done("device", "renew", "camera-1")
    rows = operator.done("device", "list", "--all", "--json").document["certificates"]
    assert len(rows) == 2
    assert operator.done("device", "renew", "camera-1", "--json").outcomes == {
        "camera-1": "already there"
    }


def test_renewing_needs_devices_and_a_first_certificate(operator: Operator) -> None:
    for words in ((), ("--due", "camera-1")):
        assert operator.run("device", "renew", *words).status == 2
    refused = operator.run("device", "renew", "camera-1")
    assert (refused.status, "issue one first" in refused.output) == (1, True)


@needs_openssl
def test_an_authority_of_golioths_scripts_issues_and_is_shown(bare: Operator) -> None:
    bare.ca.mkdir()
    key, root = bare.ca / "ca.key.pem", bare.ca / "ca.crt.pem"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    make = ("req", "-x509", "-new", "-nodes", "-key", key, "-sha256", "-days", "1024")
    openssl(*make, "-subj", "/C=BR/CN=Root golioth", "-out", root)
    bare.done("device", "issue", "camera-1")
    openssl("verify", "-CAfile", root, bare.packs / "camera-1" / "edgeferry.crt")
    shown = bare.done("ca", "show", "--json").document["certificates"][0]
    assert (shown["subject"], shown["key_encrypted"]) == ("CN=Root golioth,C=BR", False)


def test_a_fingerprint_is_shown_whole_however_narrow_the_output(operator: Operator) -> None:
    """People compare it with the one that the device shows."""
    asked = operator.done("device", "request", "camera-1", "--key", operator.folder / "key.pem")
    fingerprint = asked.output.split("key fingerprint")[1].split()[0]
    request = operator.folder / "camera-1.csr.pem"
    shutil.move("camera-1.csr.pem", request)
    assert fingerprint in operator.run("device", "sign", request, COLUMNS="200").output
    narrow = operator.run("device", "sign", request, COLUMNS="60").output
    details = (line[len("camera-1  already there  ") :] for line in narrow.splitlines())
    assert fingerprint in "".join(map(str.strip, details))


def test_a_life_that_no_calendar_has_is_refused(operator: Operator) -> None:
    refused = operator.run("device", "issue", "camera-1", "--days", "99999999")
    assert refused.status == 2
    assert "--days: Input should be less than or equal to 36500" in refused.error


def test_what_there_is_nothing_of_is_said(operator: Operator) -> None:
    assert "no certificates yet" in operator.done("device", "list").output
    assert operator.done("device", "renew", "--due").output == "nothing to do in 0.0 s\n"
