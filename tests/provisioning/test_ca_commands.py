"""``edgeferry provision ca``: made once, kept safe, registered."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from provisioning.ca_folder import CaFolder
from provisioning.key_pair import KeyPair
from provisioning.pki import create_ca
from tests.support.programs import needs_openssl, openssl
from tests.support.provisioning import PASSPHRASE, BackgroundCloud, Operator
from tests.support.scripted_api import ScriptedApi


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_ca_is_its_owners_alone(operator: Operator) -> None:
    assert mode(operator.ca) == 0o700
    assert mode(operator.ca / "ca.key.pem") == 0o600
    shown = operator.done("ca", "show", "--json").document
    (root,) = shown["certificates"]
    assert (root["subject"], root["key_encrypted"]) == ("CN=warehouse device CA", True)
    assert shown["signed"] == {"valid": 0, "expired": 0, "revoked": 0}


@needs_openssl
def test_openssl_opens_the_key_with_the_passphrase_only(operator: Operator) -> None:
    key = operator.ca / "ca.key.pem"
    openssl("pkey", "-in", key, "-passin", f"pass:{PASSPHRASE}", "-noout")
    openssl("pkey", "-in", key, "-passin", "pass:another one", "-noout", ok=False)


@needs_openssl
def test_openssl_finds_the_constraints_of_an_intermediate_and_its_root(bare: Operator) -> None:
    bare.done("ca", "init", "--intermediate")
    root, below = bare.ca / "ca.crt.pem", bare.ca / "intermediate.crt.pem"
    openssl("verify", "-x509_strict", "-CAfile", root, below)
    assert "pathlen:1" in openssl("x509", "-in", root, "-noout", "-text")
    text = openssl("x509", "-in", below, "-noout", "-text")
    assert "pathlen:0" in text
    assert "Certificate Sign, CRL Sign" in text
    # Devices are signed with the root's key in a drawer.
    (bare.ca / "ca.key.pem").unlink()
    bare.done("device", "issue", "camera-1")
    certificate = bare.packs / "camera-1" / "edgeferry.crt"
    verify = ("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", root)
    openssl(*verify, "-untrusted", certificate, certificate)
    shown = bare.done("ca", "show").output
    assert "the key is not here" in shown


def test_a_ca_is_never_overwritten(operator: Operator) -> None:
    before = {path: path.read_bytes() for path in operator.ca.iterdir()}
    refused = operator.run("ca", "init")
    assert refused.status == 1
    assert "ca.crt.pem exists already and is not overwritten" in refused.error
    assert before == {path: path.read_bytes() for path in operator.ca.iterdir()}


def test_a_key_without_passphrase_must_be_asked_for(bare: Operator) -> None:
    refused = bare.run("ca", "init", EDGEFERRY_CA_PASSPHRASE="")
    assert refused.status == 2
    assert "give --passphrase-file or set EDGEFERRY_CA_PASSPHRASE" in refused.error
    assert not bare.ca.exists()
    bare.done("ca", "init", "--no-passphrase", EDGEFERRY_CA_PASSPHRASE="")
    assert b"BEGIN PRIVATE KEY" in (bare.ca / "ca.key.pem").read_bytes()


def test_a_passphrase_in_a_file_goes_before_the_environment(bare: Operator) -> None:
    secret = bare.folder / "passphrase"
    secret.write_text("of the file\n")
    secret.chmod(0o644)
    exposed = bare.run("ca", "init", "--passphrase-file", secret)
    assert (exposed.status, f"chmod 600 {secret}" in exposed.error) == (2, True)
    secret.chmod(0o600)
    bare.done("ca", "init", "--passphrase-file", secret)
    wrong = bare.run("device", "issue", "camera-1")
    assert wrong.status == 1
    assert "ca.key.pem does not open with this passphrase" in wrong.error
    bare.done("device", "issue", "camera-1", "--passphrase-file", secret)


def test_a_short_passphrase_is_refused(bare: Operator) -> None:
    assert bare.run("ca", "init", EDGEFERRY_CA_PASSPHRASE="secret").status == 2
    assert not bare.ca.exists()


def test_an_expired_ca_signs_nothing_and_says_what_to_do(bare: Operator) -> None:
    create_ca(KeyPair.in_folder(bare.ca, "ca"), "Old", days=0)
    refused = bare.run("device", "issue", "camera-1")
    assert refused.status == 1
    assert "create a new CA and upload it to the project" in refused.error


def test_a_missing_ca_names_the_command_that_makes_one(bare: Operator) -> None:
    for command in (("ca", "show"), ("device", "issue", "camera-1"), ("device", "list")):
        refused = bare.run(*command)
        assert refused.status == 1
        assert refused.error.endswith("make one with: edgeferry provision ca init")


def test_a_ca_is_registered_once(operator: Operator, running_cloud: BackgroundCloud) -> None:
    operator.env["EDGEFERRY_OPERATOR"] = str(running_cloud.operator_file)
    outcomes = [
        [row["outcome"] for row in operator.done("ca", "upload", "--json").document["certificates"]]
        for _ in range(2)
    ]
    assert outcomes == [["registered"], ["registered before"]]
    with running_cloud.management() as management:
        assert len(list(management.ca_certificates())) == 1


def test_a_key_of_another_project_is_told(
    operator: Operator, running_cloud: BackgroundCloud
) -> None:
    operator.env["EDGEFERRY_OPERATOR"] = str(running_cloud.operator_file)
    refused = operator.run("ca", "upload", "--project", "elsewhere")
    assert refused.status == 1
    assert "belongs to project 'warehouse', not to 'elsewhere'" in refused.error
    assert "check the API key, and that it was made for this project" in refused.error


def test_a_certificate_that_came_in_meanwhile_is_as_good(operator: Operator) -> None:
    """Nothing is listed, and the upload is refused as known: somebody else was quicker."""
    api = ScriptedApi()
    try:
        api.answer({"list": [], "total": "0"})
        api.answer({"code": 6, "message": "certificate already exists"}, 409)
        run = operator.done("ca", "upload", "--url", api.url, "--json", GOLIOTH_API_KEY="k")
    finally:
        api.stop()
    (row,) = run.document["certificates"]
    assert row["outcome"] == "registered before"
    assert [asked.key for asked in api.asked] == ["k", "k"]


@pytest.mark.parametrize("form", ["{:d}", "{:x}", "0x{:X}"])
def test_golioths_way_of_writing_serial_numbers_is_not_known_and_does_not_matter(
    operator: Operator, form: str
) -> None:
    (root,) = CaFolder(operator.ca).certificates()
    listed = {"id": "1", "certificateContent": {"serialNumber": form.format(root.serial_number)}}
    api = ScriptedApi()
    try:
        api.answer({"list": [listed], "total": "1"})
        run = operator.done("ca", "upload", "--url", api.url, "--json", GOLIOTH_API_KEY="k")
    finally:
        api.stop()
    assert json.loads(run.output)["certificates"][0]["outcome"] == "registered before"


def test_a_folder_that_can_not_be_looked_at_is_named(bare: Operator) -> None:
    out_of_reach = bare.folder / ("x" * 300)
    shown = bare.run("ca", "show", EDGEFERRY_CA=str(out_of_reach))
    assert (shown.status, "File name too long" in shown.error) == (1, True)
    made = bare.run("ca", "init", EDGEFERRY_CA=str(out_of_reach))
    assert (made.status, "can't be made: File name too long" in made.error) == (1, True)


@pytest.mark.parametrize("name", ["lock", "register.db"])
def test_a_file_of_the_ca_that_can_not_be_written_is_named(operator: Operator, name: str) -> None:
    (operator.ca / name).unlink(missing_ok=True)
    (operator.ca / name).mkdir()
    issued = operator.run("device", "issue", "camera-1")
    assert issued.status == 1
    assert f"{operator.ca / name} can't be" in issued.error
    assert "who may write to the folder" in issued.error
    assert not operator.packs.exists()
