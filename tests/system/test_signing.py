"""Signed releases from the operator's key to a device that pins it, and all that must not pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from demo.stage import Document, await_that
from protocol.signing import encode_document, sign
from protocol.statements import ReleaseStatement, SignedPackage
from provisioning.resources import Artifact
from provisioning.signing_keys import load_key
from tests.support.signing import private_key
from tests.support.waiting import PATIENCE
from tests.system.commands import Commands
from tests.system.conftest import LABELS, Bench

pytestmark = pytest.mark.system

SIGNATURE = "release-signature"
LITTLE = 5_000
"""Bytes: more than any signature here, less than any model."""


class SignedFleet:
    """A bench whose device pins the key ``root``, and the operator who holds it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        folder = bench.folder / "signing"
        self.commands = Commands(bench, f'signing_folder = "{folder}"\n')
        self.folder = folder
        self.root = self.create("root")
        bench.tables["trust"] = {"public_keys": [str(folder / "root.pub.pem")]}
        bench.device.configure(bench.tables)
        bench.device.start("worker")
        bench.device.start("run")
        labels = bench.folder / "labels.txt"
        labels.write_bytes(LABELS)
        for version in ("s1", "s2"):
            model = bench.large_model(version, 50_000)
            self.commands.publish(version, model, labels, "--no-check", *self.by("root"))

    def create(self, name: str) -> str:
        words = ["signing-key", "create", name, "--no-passphrase"]
        return str(self.commands.done(*words)["public_key"])

    def by(self, name: str) -> tuple[str | Path, ...]:
        return ("--signing-key", self.folder / f"{name}.key.pem")

    def deploy(self, *options: str, by: str = "root") -> Any:
        return self.commands.deploy(*options, *self.by(by))

    def served(self, version: str) -> Document:
        return self.bench.await_served(version)

    def artifact(self, package: str, version: str) -> Artifact:
        listed = self.bench.fleet.management.artifacts(package=package, version=version)
        return next(listed)

    def offer(self, signature: Artifact | None, model: str, labels: str) -> None:
        """Deploy past the operator, as whoever runs the cloud could."""
        parts = [self.artifact("ai-model", model), self.artifact("labels", labels)]
        parts += [signature] if signature else []
        self.bench.fleet.deploy("forged", [part.id for part in parts])

    def upload(self, version: str, content: bytes) -> Artifact:
        return self.bench.fleet.management.publish(SIGNATURE, version, content)

    def refused(self, reason: str) -> Document:
        """Wait until the newest update was refused for that, after fetching next to nothing."""

        def newest() -> Document | None:
            update: Document = self.bench.device.inspect(lambda i: i.updates(1))[0]
            return update if update["reason"] == reason and update["finished_at"] else None

        update: Document = await_that(reason, newest, PATIENCE, self.bench.device.log_tail)
        assert update["outcome"] == "rejected"
        assert update["fetched_bytes"] < LITTLE
        return update


def signature_of(fleet: SignedFleet, version: str, number: int, key: Ed25519PrivateKey) -> bytes:
    """What the operator's own command would not make."""
    found = (fleet.artifact(package, version) for package in ("ai-model", "labels"))
    packages = tuple(SignedPackage(a.package, a.version, a.sha256 or "", a.size) for a in found)
    return encode_document(sign(ReleaseStatement(number, packages), [key]))


def test_only_the_newest_word_of_a_pinned_key_is_taken(bench: Bench) -> None:
    fleet = SignedFleet(bench)
    first = fleet.deploy("--version", "s1")["signature"]["number"]
    status = fleet.served("s1")
    assert status["trust"]["release_keys"] == [fleet.root]
    assert status["trust"]["number"] == first

    fleet.commands.deploy("--version", "s2", "--unsigned")
    fleet.refused("signature-missing")
    shown = fleet.commands.await_status("refused")
    assert shown["why"].startswith("signature-missing: this device has pinned keys")
    second = fleet.deploy("--version", "s2")["signature"]["number"]
    fleet.served("s2")

    old, new = (fleet.artifact(SIGNATURE, str(number)) for number in (first, second))
    fleet.offer(old, "s1", "s1")
    fleet.refused("signature-replayed")
    fleet.offer(new, "s1", "s2")
    fleet.refused("signature-mismatch")
    fleet.offer(fleet.upload("forged", tampered(fleet, second + 1)), "s1", "s1")
    fleet.refused("signature-bad")
    foreign = signature_of(fleet, "s1", second + 1, private_key(9))
    fleet.offer(fleet.upload("foreign", foreign), "s1", "s1")
    fleet.refused("signature-unknown-key")
    fleet.offer(fleet.upload("nonsense", b"no signature at all"), "s1", "s1")
    fleet.refused("signature-malformed")
    story = explained(bench)
    assert "the signature package holds no signature" in story["verdict"]
    assert story["serves_now"] == fleet.served("s2")["active"]["id"]


def tampered(fleet: SignedFleet, number: int) -> bytes:
    """A statement of somebody else's that claims to be signed with the pinned key."""
    document = json.loads(signature_of(fleet, "s1", number, private_key(9)))
    document["release"]["signatures"][0]["keyid"] = fleet.root
    return json.dumps(document).encode()


def explained(bench: Bench) -> Document:
    story: Document = bench.device.inspect(lambda inspector: inspector.explain())
    return story


def test_going_back_and_new_keys_are_signed_for(bench: Bench) -> None:
    fleet = SignedFleet(bench)
    fleet.deploy("--version", "s1")
    fleet.served("s1")
    fleet.deploy("--version", "s2")
    fleet.served("s2")
    number = fleet.deploy("--rollback")["signature"]["number"]
    fleet.served("s1")
    back = bench.device.inspect(lambda inspector: inspector.updates(1))[0]
    assert (back["outcome"], back["fetched_bytes"] < LITTLE) == ("confirmed", True)

    again = fleet.deploy("--resign")["signature"]["number"]
    assert again > number
    heard = bench.device.await_status(
        "the signature is heard", lambda s: s["trust"]["number"] == again, PATIENCE
    )
    assert heard["active"]["packages"]["ai-model"]["version"] == "s1"
    unneeded = bench.device.inspect(lambda inspector: inspector.updates(1))[0]
    assert (unneeded["outcome"], unneeded["fetched_bytes"] < LITTLE) == ("unneeded", True)

    daily = fleet.create("daily")
    endorsed = ("--release-key", fleet.folder / "daily.pub.pem", *fleet.by("root"))
    fleet.commands.done("signing-key", "endorse", *endorsed)
    fleet.deploy("--version", "s2", by="daily")
    status = fleet.served("s2")
    assert status["trust"]["release_keys"] == [daily]
    assert (status["trust"]["key_list"], status["trust"]["root_keys"]) == (1, [fleet.root])
    root = load_key(fleet.folder / "root.key.pem", lambda _: b"")
    revoked = signature_of(fleet, "s1", status["trust"]["number"] + 1, root)
    fleet.offer(fleet.upload("revoked", revoked), "s1", "s1")
    assert "by key list 1" in fleet.refused("signature-unknown-key")["detail"]

    bench.say("rollback")
    fleet.served("s1")
