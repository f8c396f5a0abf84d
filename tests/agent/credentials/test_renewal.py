"""A certificate about to expire is replaced by one the device asks for with a key of its own."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from agent.credentials.renewal import UnusableCertificate, accepted_answer, is_due
from agent.credentials.renewed import RenewedPairs
from agent.store.files import Files
from localcloud.settings import CloudSettings
from localcloud.storage.database import Paging
from protocol.credentials import KeyPair, load_key_pair, utc_now
from states.ports import Postponed
from states.reasons import Transient
from tests.agent.credentials.conftest import DAY, Device
from tests.support.pki import Authority

SOON: dict[str, Any] = {"starts_in": -30 * DAY, "ends_in": 2 * DAY}


async def test_a_new_certificate_is_fetched_used_and_kept(device: Device) -> None:
    old = device.issue(**SOON)
    device.install(old)
    await device.start(renew_days_before=30)
    await device.eventually("fetched", lambda: device.told().get("origin") == "fetched")
    await device.eventually("it is used", lambda: device.serials())
    (serial,) = device.serials()
    assert serial != int(old.certificate.stem, 16)
    assert device.told()["days_left"] > 80
    assert device.told()["subject"] == "CN=camera-1,O=demo"
    assert device.errors == []

    folder = device.folder / "credentials"
    key = folder / "newest" / "device.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert key.read_bytes() != device.key.read_bytes()

    await device.stop()
    await device.start(renew_days_before=30)
    await device.eventually("still used", lambda: device.serials() == [serial])


async def test_one_the_server_refuses_is_given_up_and_the_old_one_serves_on(
    device: Device,
) -> None:
    pair = await _fetched(device)
    certificates = device.cloud.store.certificates
    kept, _ = certificates.page(device.cloud.project.id, Paging(0, 100))
    (authority,) = (c for c in kept if "Edgeferry" in c.certificate_content.subject)
    certificates.delete(device.cloud.project.id, authority.id)
    await device.eventually("given up", lambda: not (device.folder / "credentials/newest").exists())
    await device.eventually("the given one is used", lambda: device.serials())
    assert device.serials() != [pair.chain[0].serial_number]
    await device.eventually("it is said", lambda: device.told()["origin"] == "configured")
    assert list((device.folder / "credentials").iterdir()) == []


async def _fetched(device: Device) -> KeyPair:
    """Let a device fetch a certificate and use it."""
    device.install(device.issue(**SOON))
    await device.start(renew_days_before=30)
    await device.eventually("fetched", lambda: device.told().get("origin") == "fetched")
    await device.eventually("it is used", lambda: device.serials())
    await device.stop()
    await device.start()
    await device.session.wait_connected()
    folder = device.folder / "credentials" / "newest"
    return load_key_pair(folder / "device.crt", folder / "device.key")


async def test_an_operators_newer_certificate_wins_over_a_fetched_one(device: Device) -> None:
    await _fetched(device)
    given = device.issue(starts_in=-timedelta(hours=1), ends_in=100 * DAY)
    device.install(given)
    await device.until_served_with(given)


async def test_a_fetched_certificate_of_another_device_is_left_alone(device: Device) -> None:
    """The device was given a new name: what it fetched under the old one is no use."""
    await _fetched(device)
    renamed = device.authority.device("camera-2", device.cloud.project.id, **SOON)
    device.install(renamed)
    await device.until_served_with(renamed)


class TestWithoutPkiProvider:
    @pytest.fixture
    def cloud_settings(self) -> CloudSettings:
        return CloudSettings(coap_port=0, http_port=0, certificate_days=0)

    async def test_the_device_says_so_and_goes_on(
        self, device: Device, caplog: pytest.LogCaptureFixture
    ) -> None:
        device.install(device.issue(**SOON))
        await device.start(renew_days_before=30)
        await device.eventually("it is said", lambda: "no PKI provider" in caplog.text)
        assert device.session.connected
        assert caplog.text.count("no PKI provider") == 1


def old_pair(authority: Authority) -> KeyPair:
    issued = authority.device("camera", **SOON)
    return load_key_pair(issued.certificate, issued.key)


def signed(
    authority: Authority, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> bytes:
    now = utc_now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.root.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + days * DAY)
    )
    return builder.sign(authority._key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_only_a_longer_certificate_for_this_device_and_key_is_taken(
    authorities: tuple[Authority, Authority],
) -> None:
    ours, _ = authorities
    old, key = old_pair(ours), ec.generate_private_key(ec.SECP256R1())
    subject = old.chain[0].subject
    other = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else")])
    for answer, said in (
        (b"\x30\x00", "no DER certificate"),
        (signed(ours, subject, ec.generate_private_key(ec.SECP256R1()), 90), "another key"),
        (signed(ours, other, key, 90), "somebody else"),
        (signed(ours, subject, key, 1), "does not last longer"),
    ):
        with pytest.raises(UnusableCertificate, match=said):
            accepted_answer(answer, key, old)
    answer = signed(ours, subject, key, 90)
    assert len(accepted_answer(answer, key, old).chain) == 1
    with_intermediate = KeyPair((old.chain[0], ours.root), old.key)
    assert accepted_answer(answer, key, with_intermediate).chain[1:] == (ours.root,)


def test_it_is_due_at_most_a_third_of_a_life_before_the_end(
    authorities: tuple[Authority, Authority],
) -> None:
    leaf = old_pair(authorities[0]).chain[0]  # lives for 32 days, 2 are left
    end = leaf.not_valid_after_utc
    assert is_due(leaf, end - 10 * DAY, 30)
    assert not is_due(leaf, end - 11 * DAY, 30)
    assert not is_due(leaf, end - 2 * DAY, 1)


class PowerCut(Files):
    """A disk that fails at one step."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def rename(self, source: Path, target: Path) -> None:
        self._left -= 1
        if self._left < 0:
            raise Postponed(Transient.STORAGE_ERROR, "the power went")
        super().rename(source, target)


@pytest.mark.parametrize("steps", [0, 1])
def test_a_pair_is_kept_whole_or_not_at_all(
    authorities: tuple[Authority, Authority], tmp_path: Path, steps: int
) -> None:
    first, second = old_pair(authorities[0]), old_pair(authorities[0])
    RenewedPairs(tmp_path).save(first)
    with pytest.raises(Postponed):
        RenewedPairs(tmp_path, PowerCut(steps)).save(second)
    assert RenewedPairs(tmp_path).newest() == first

    third = old_pair(authorities[0])
    RenewedPairs(tmp_path).save(third)
    assert RenewedPairs(tmp_path).newest() == third
    RenewedPairs(tmp_path).settle()
    assert len(list((tmp_path / "credentials").iterdir())) == 2, "the pair and the link"


def test_a_folder_that_cannot_be_read_is_postponed(
    authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    pairs = RenewedPairs(tmp_path)
    pairs.save(old_pair(authorities[0]))
    (tmp_path / "credentials").rename(tmp_path / "gone")
    for step in (pairs.settle, pairs.discard_newest):
        with pytest.raises(Postponed):
            step()


def test_a_discarded_pair_gives_way_to_the_one_before(
    authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    pairs = RenewedPairs(tmp_path)
    first, second = old_pair(authorities[0]), old_pair(authorities[0])
    pairs.save(first)
    pairs.save(second)
    pairs.discard_newest()
    assert pairs.newest() == first
    pairs.discard_newest()
    assert pairs.newest() is None
