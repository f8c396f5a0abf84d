"""A wrong clock: certificates are judged by the newest time that is known, and never by 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.credentials import watch
from agent.credentials.known_time import RELEASED, KnownTime, as_text, from_text
from agent.credentials.status import clock_status
from agent.credentials.watch import TIME_FACT
from protocol.credentials import utc_now
from protocol.errors import DeviceCertificateRefused, ServerUntrusted
from tests.agent.credentials.conftest import DAY, Device

EPOCH = datetime(1970, 1, 1, 0, 2, tzinfo=UTC)


def in_1970() -> datetime:
    return EPOCH


async def test_a_device_in_1970_connects_and_learns_the_time_from_certificates(
    device: Device,
) -> None:
    # The cloud's certificate was made a minute ago and begins a day ago: after our release.
    await device.start(clock=in_1970)
    await device.session.wait_connected()
    assert device.time.now() > RELEASED
    assert clock_status(device.time)["judged_by"] == as_text(device.time.newest)
    assert all(isinstance(error, ServerUntrusted) for error in device.errors)


async def test_what_was_learnt_outlasts_a_restart(device: Device) -> None:
    await device.start()
    await device.eventually("the time is noted", lambda: device.journal.fact(TIME_FACT))
    await device.stop()

    await device.start(clock=in_1970)
    await device.session.wait_connected()
    assert device.errors == []


async def test_a_clock_set_by_a_time_server_is_believed(device: Device) -> None:
    await device.start(clock=lambda: RELEASED, synchronized=True)
    error = await device.first_error()
    assert isinstance(error, ServerUntrusted)
    assert error.cause_code == "not-yet-valid"
    assert "clock" in str(error)
    assert device.time.now() == RELEASED


async def test_a_certificate_that_begins_later_is_shown_all_the_same(device: Device) -> None:
    """Its beginning counts as known time, so only the server can turn it down."""
    begins_tomorrow = device.issue(starts_in=DAY, ends_in=30 * DAY)
    device.install(begins_tomorrow)
    await device.start()
    assert isinstance(await device.first_error(), DeviceCertificateRefused)


async def test_a_clock_nobody_vouches_for_is_not_noted(device: Device) -> None:
    """A clock once far ahead must not make every certificate count as expired for good."""
    found = {"psk_id": "camera@demo", "psk": "the right one"}
    project = device.cloud.project.id
    owner = device.cloud.store.devices.for_certificate(project, "camera")
    device.cloud.store.credentials.create(project, owner.id, "camera", found["psk"])
    await device.start(
        clock=lambda: datetime(2099, 1, 1, tzinfo=UTC),
        synchronized=False,
        certificate=None,
        private_key=None,
        psk_id=found["psk_id"],
        psk=found["psk"],
    )
    await device.session.wait_connected()
    await device.answered()
    assert device.journal.fact(TIME_FACT) is None


async def test_a_clock_that_jumps_far_ahead_under_a_link_is_not_noted(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificates were valid at the handshake, and say nothing of a clock that moved since."""
    monkeypatch.setattr(watch, "REMEMBER_SECONDS", 0.0)
    ahead = timedelta()
    await device.start(clock=lambda: utc_now() + ahead)
    await device.answered()
    ahead = timedelta(days=15 * 365)
    await device.answered()
    await device.answered()
    noted = from_text(device.journal.fact(TIME_FACT))
    assert noted is not None
    assert noted < utc_now() + timedelta(minutes=1)
    await device.stop()

    await device.start()
    await device.session.wait_connected()
    assert device.errors == []


def test_the_newest_known_time_wins() -> None:
    moment = RELEASED + timedelta(days=10)
    known = KnownTime(None, clock=in_1970, synchronized=lambda: None)
    assert known.now() == RELEASED
    assert known.is_behind
    assert known.learn(moment)
    assert known.now() == moment
    assert not known.learn(RELEASED)
    later = KnownTime(moment, clock=lambda: moment + DAY, synchronized=lambda: True)
    assert later.now() == moment + DAY
    assert not later.is_behind
    assert not later.learn(moment + 2 * DAY)


def test_moments_survive_as_text() -> None:
    assert from_text(as_text(RELEASED)) == RELEASED
    assert from_text(None) is None
