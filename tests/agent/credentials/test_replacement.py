"""A certificate replaced in place is taken up; a bad replacement does not cost the connection."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from agent.credentials.keeper import Candidate, CredentialKeeper, preferred
from agent.credentials.known_time import KnownTime
from agent.credentials.renewed import RenewedPairs
from agent.credentials.sources import CertificateSource
from protocol.credentials import LoadedCertificate
from protocol.errors import DeviceNotAdmitted
from tests.agent.credentials.conftest import DAY, Device
from tests.support.pki import Authority


async def test_the_moment_when_only_one_file_is_replaced_is_waited_out(device: Device) -> None:
    await device.start()
    await device.answered()
    first = device.serials()
    renewed = device.issue(starts_in=-DAY)

    shutil.copy(renewed.certificate, device.certificate)
    # The link dies in that very moment: what worked last still works.
    device.session.give_up_link("a bad moment")
    await device.eventually("connected again", lambda: device.connections == 2)
    await device.eventually("with the old pair", lambda: device.serials() == first)
    await device.eventually("it is said", lambda: device.told().get("origin") == "memory")

    shutil.copy(renewed.key, device.key)
    await device.until_served_with(renewed)
    await device.eventually("it is said", lambda: device.told().get("origin") == "configured")
    assert [str(error) for error in device.errors] == ["a bad moment"]


async def test_a_replacement_the_server_refuses_leaves_the_one_that_works(
    device: Device, authorities: tuple[Authority, Authority]
) -> None:
    await device.start()
    await device.answered()
    first = device.serials()

    device.install(device.issue(authorities[1], starts_in=-DAY))
    await device.eventually("the refusal is told", lambda: device.told().get("problem"))
    await device.eventually("the old one is shown", lambda: device.serials() == first)
    assert "CN=Else" in device.told()["problem"]
    await device.eventually("it is said", lambda: device.told()["origin"] == "memory")


async def test_a_replaced_psk_is_taken_up(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hand_over(name: str) -> None:
        (tmp_path / "edgeferry.psk-id").write_text(f"{name}@demo\n")
        (tmp_path / "edgeferry.psk").write_text(f"key {name}\n")

    project = device.cloud.project.id
    owner = device.cloud.store.devices.for_certificate(project, "camera")
    for name in ("one", "two"):
        device.cloud.store.credentials.create(project, owner.id, name, f"key {name}")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    hand_over("one")
    await device.start(certificate=None, private_key=None)
    await device.session.wait_connected()
    hand_over("two")
    await device.eventually("the new one is used", lambda: device.identities() == ["two@demo"])
    assert device.errors == []


def candidate(origin: str, authority: Authority, age: timedelta) -> Candidate:
    issued = authority.device("camera", starts_in=-age)
    pair = CertificateSource(issued.certificate, issued.key).read()
    return Candidate(origin, pair)  # type: ignore[arg-type]


def test_the_newest_is_shown_unless_it_was_refused(
    authorities: tuple[Authority, Authority],
) -> None:
    given = candidate("configured", authorities[0], 9 * DAY)
    fetched = candidate("fetched", authorities[0], 1 * DAY)
    remembered = candidate("memory", authorities[0], 0 * DAY)
    everything = [given, fetched, remembered]
    assert preferred(everything, frozenset()) is fetched
    assert preferred(everything, {fetched.fingerprint}) is given
    assert preferred(everything, {fetched.fingerprint, given.fingerprint}) is remembered
    assert preferred(everything, {c.fingerprint for c in everything}) is fetched
    assert preferred([given, Candidate("memory", given.credential)], frozenset()) is given


def test_a_refusal_is_forgotten_after_some_hours(
    authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    now = 0.0
    given = authorities[0].device("camera", starts_in=-2 * DAY)
    other = authorities[0].device("camera", starts_in=-DAY)
    source = CertificateSource(given.certificate, given.key)
    keeper = CredentialKeeper(source, RenewedPairs(tmp_path), KnownTime(), monotonic=lambda: now)
    keeper.read()
    keeper.proven()
    shutil.copy(other.key, source.key)
    shutil.copy(other.certificate, source.certificate)
    assert keeper.has_news()
    newer = keeper.read()
    keeper.failed(DeviceNotAdmitted())
    assert keeper.has_news()
    assert keeper.read() != newer
    assert not keeper.has_news()
    now = 7 * 3600.0
    assert keeper.has_news()
    assert isinstance(keeper.read(), LoadedCertificate)
