"""Every way in which credentials can be wrong has an error of its own, and heals in place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from protocol.errors import (
    CredentialError,
    DeviceCertificateRefused,
    DeviceNotAdmitted,
    HandshakeTimedOut,
    ServerUntrusted,
    code_of,
)
from tests.agent.credentials.conftest import DAY, Device
from tests.support.pki import Authority

Authorities = tuple[Authority, Authority]
Changes = dict[str, Any]


def expired(device: Device, _others: Authorities) -> Changes:
    device.install(device.issue(ends_in=-DAY))
    return {}


def of_the_future(device: Device, _others: Authorities) -> Changes:
    device.install(device.issue(starts_in=DAY, ends_in=2 * DAY))
    return {}


def of_a_foreign_ca(device: Device, others: Authorities) -> Changes:
    device.install(device.issue(others[1]))
    return {}


def of_another_project(device: Device, _others: Authorities) -> Changes:
    device.install(device.issue(project="somebody-elses"))
    return {}


def key_of_another(device: Device, _others: Authorities) -> Changes:
    shutil.copy(device.issue().key, device.key)
    return {}


def key_for_everybody(device: Device, _others: Authorities) -> Changes:
    device.key.chmod(0o644)
    return {}


def key_unreadable(device: Device, _others: Authorities) -> Changes:
    # A folder can't be read as a file by anybody, not even by root.
    device.key.unlink()
    device.key.mkdir(0o700)
    return {}


def no_key(device: Device, _others: Authorities) -> Changes:
    device.key.unlink()
    return {}


def no_pem(device: Device, _others: Authorities) -> Changes:
    device.certificate.write_bytes(b"\x30\x82")
    return {}


def another_server_ca(device: Device, others: Authorities) -> Changes:
    return {"server_ca": others[1].bundle}


def another_host(device: Device, _others: Authorities) -> Changes:
    # Linux takes the unspecified address for the loopback one; no certificate names it.
    return {"uri": f"coaps://0.0.0.0:{device.cloud.coap_address[1]}"}


FAULTS = [
    (expired, DeviceCertificateRefused, "expired", "issue a new one"),
    (of_the_future, DeviceCertificateRefused, "not-yet-valid", "this device's clock says"),
    (of_a_foreign_ca, DeviceCertificateRefused, "unknown-ca", "CN=Else"),
    (of_another_project, DeviceNotAdmitted, None, "O of its certificate"),
    (key_of_another, CredentialError, "mismatch", "does not belong"),
    (key_for_everybody, CredentialError, "exposed", "chmod 0600"),
    (key_unreadable, CredentialError, "unreadable", "check its owner"),
    (no_key, CredentialError, "missing", "no such file"),
    (no_pem, CredentialError, "malformed", "no PEM certificate"),
    (another_server_ca, ServerUntrusted, "unknown-ca", "CA bundle"),
    (another_host, ServerUntrusted, "host-name", "host name"),
]


@pytest.mark.parametrize(("fault", "kind", "cause", "said"), FAULTS)
async def test_each_fault_has_an_error_of_its_own(
    device: Device,
    authorities: Authorities,
    fault: Callable[[Device, Authorities], Changes],
    kind: type[Exception],
    cause: str | None,
    said: str,
) -> None:
    await device.start(**fault(device, authorities))
    error = await device.first_error()
    assert type(error) is kind, error
    assert getattr(error, "cause_code", None) == cause
    assert said in str(error)
    assert code_of(error).endswith(f"/{cause}" if cause else "device-not-admitted")


@pytest.mark.parametrize(
    "fault", [expired, of_the_future, of_a_foreign_ca, of_another_project, key_of_another, no_key]
)
async def test_a_fault_heals_without_a_restart_once_the_right_pair_is_there(
    device: Device, authorities: Authorities, fault: Callable[[Device, Authorities], Changes]
) -> None:
    await device.start(**fault(device, authorities))
    await device.first_error()
    right = device.issue(starts_in=-timedelta(hours=1))
    device.install(right)
    await device.until_served_with(right)
    await device.eventually("it is said", lambda: device.told().get("problem", "") is None)


async def test_a_wrong_key_says_that_silence_may_mean_it(device: Device) -> None:
    found: Changes = {
        "psk_id": "camera@demo",
        "psk": "wrong",
        "certificate": None,
        "private_key": None,
    }
    owner = device.cloud.store.devices.for_certificate(device.cloud.project.id, "camera")
    device.cloud.store.credentials.create(
        device.cloud.project.id, owner.id, "camera", "the right one"
    )
    await device.start(**found)
    error = await device.first_error()
    assert type(error) is HandshakeTimedOut
    assert "PSK-ID/PSK wrong" in str(error)


async def test_a_group_may_read_the_key(device: Device) -> None:
    device.key.chmod(0o640)
    await device.start()
    await device.session.wait_connected()


async def test_systemds_credentials_are_taken_by_themselves(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_over = device.folder / "handed-over"
    handed_over.mkdir()
    for ours, theirs in (
        (device.certificate, "edgeferry.crt"),
        (device.key, "edgeferry.key"),
        (device.server_ca, "edgeferry.ca"),
    ):
        shutil.copy(ours, handed_over / theirs)
    # The mode systemd's files show when an ACL lets the service's user read them.
    os.chmod(handed_over / "edgeferry.key", 0o440)  # noqa: PTH101
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed_over))
    await device.start(certificate=None, private_key=None, server_ca=None)
    await device.session.wait_connected()
    await device.eventually("it is said", lambda: device.told().get("origin") == "systemd")
