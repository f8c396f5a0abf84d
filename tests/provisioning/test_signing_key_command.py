"""``edgeferry signing-key``: keys and key lists as an operator makes them."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from protocol.statements import KeyList, public_key
from provisioning.signing_keys import KeyLists
from tests.support.programs import needs_openssl, openssl
from tests.support.provisioning import Operator, Run

PASSPHRASE = "a phrase of some length"


@pytest.fixture
def signing(bare: Operator) -> Operator:
    bare.env["EDGEFERRY_SIGNING_PASSPHRASE"] = PASSPHRASE
    return bare


def run(operator: Operator, *words: str | Path) -> Run:
    return operator.edgeferry("signing-key", *words, "--signing-folder", operator.folder)


def made(operator: Operator, name: str) -> Any:
    done = run(operator, "create", name, "--json")
    assert done.status == 0, done.error
    return done.document


def endorse(operator: Operator, by: list[str], *options: str | Path) -> Run:
    signers = [w for name in by for w in ("--signing-key", operator.folder / f"{name}.key.pem")]
    return run(operator, "endorse", *signers, *options, "--json")


def pub(operator: Operator, name: str) -> Path:
    return operator.folder / f"{name}.pub.pem"


def test_a_key_is_encrypted_private_and_never_overwritten(signing: Operator) -> None:
    document = made(signing, "release")
    key = signing.folder / "release.key.pem"
    assert b"ENCRYPTED" in key.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert public_key(pub(signing, "release").read_text()) == document["public_key"]
    again = run(signing, "create", "release")
    assert again.status == 1
    assert "exists already" in again.error


@needs_openssl
def test_openssl_reads_the_key(signing: Operator) -> None:
    document = made(signing, "release")
    words = ["pkey", "-in", document["key"], "-passin", f"pass:{PASSPHRASE}", "-pubout"]
    assert public_key(openssl(*words)) == document["public_key"]


def test_it_is_shown_as_devices_are_told(signing: Operator) -> None:
    none = run(signing, "show")
    assert (none.status, "edgeferry signing-key create" in none.error) == (2, True)
    document = made(signing, "release")
    for words in (["show", document["key"]], ["show"]):
        shown = run(signing, *words)
        assert f'public_keys = ["{document["public_key"]}"]' in shown.output
    missing = run(signing, "show", "/nowhere.pub.pem")
    assert missing.status == 1
    assert "/nowhere.pub.pem can't be read" in missing.error


def test_keys_are_replaced_by_lists_of_the_root_key(signing: Operator) -> None:
    root, daily, later = (made(signing, n)["public_key"] for n in ("root", "daily", "later"))
    first = endorse(signing, ["root"], "--release-key", pub(signing, "daily")).document
    assert (first["number"], first["root_keys"], first["release_keys"]) == (1, [root], [daily])
    second = endorse(signing, ["root"], "--release-key", pub(signing, "later")).document
    assert (second["number"], second["release_keys"]) == (2, [later])
    newest = KeyLists.read(signing.folder).newest
    assert newest is not None
    assert newest.statement == KeyList(2, (root,), (later,))
    assert newest.signed == {root}


def test_a_list_that_devices_would_not_follow_is_not_made(signing: Operator) -> None:
    for name in ("root", "daily", "new"):
        made(signing, name)
    release = ("--release-key", pub(signing, "daily"))
    assert endorse(signing, ["root"], *release).status == 0
    refused = endorse(signing, ["daily"], *release)
    assert refused.status == 2
    assert "no --signing-key is a root key" in refused.error
    new_root = ("--root-key", pub(signing, "new"))
    refused = endorse(signing, ["root"], *release, *new_root)
    assert refused.status == 2
    assert "one of the new root keys" in refused.error
    assert len(KeyLists.read(signing.folder).envelopes) == 1
    assert endorse(signing, ["root", "new"], *release, *new_root).status == 0


def test_a_damaged_list_is_named(signing: Operator) -> None:
    made(signing, "root")
    (signing.folder / "key-lists.json").write_text("[{}]")
    refused = endorse(signing, ["root"], "--release-key", pub(signing, "root"))
    assert refused.status == 1
    assert "key-lists.json is damaged" in refused.error


def test_a_wrong_passphrase_is_named(signing: Operator) -> None:
    made(signing, "root")
    signing.env["EDGEFERRY_SIGNING_PASSPHRASE"] = "another phrase"
    refused = endorse(signing, ["root"], "--release-key", pub(signing, "root"))
    assert refused.status == 1
    assert "does not open with this passphrase" in refused.error
    signing.env["EDGEFERRY_SIGNING_PASSPHRASE"] = ""
    refused = endorse(signing, ["root"], "--release-key", pub(signing, "root"))
    assert refused.status == 2
    assert "EDGEFERRY_SIGNING_PASSPHRASE" in refused.error
