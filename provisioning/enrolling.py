"""Making devices known to the project: the device, its cohort, and what it proves itself by.

Golioth finds a device of a certificate by its name until the first connection, and by its
certificate id from then on; so the device is made with the certificate id as its name.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from provisioning.device_list import WantedDevice
from provisioning.errors import AlreadyExists, PkiError, WrongUsage
from provisioning.management import Management
from provisioning.packs import Packs
from provisioning.resources import Credential, Device


@dataclass(frozen=True)
class Enrolled:
    """A device of the project. ``created`` is False where it was there before."""

    name: str
    device_id: str
    created: bool
    cohort_id: str | None
    enabled: bool
    pack: Path | None = None


class Enroller:
    """Enrolls into one project; safe to use from several threads. Raises ManagementError."""

    def __init__(self, management: Management, cohorts: dict[str, str]) -> None:
        """``cohorts`` maps the names that devices ask for to cohort ids."""
        self._management = management
        self._cohorts = cohorts

    def enroll(self, wanted: WantedDevice) -> Enrolled:
        """The device, made unless it is there, in its cohort. Repeating it changes nothing.

        Raises:
            AlreadyExists: its hardware id belongs to another device.
        """
        cohort = self._cohorts.get(wanted.cohort or "")
        hardware = (wanted.hardware_id,) if wanted.hardware_id else ()
        try:
            device = self._management.create_device(wanted.name, hardware, cohort_id=cohort)
            return _enrolled(wanted.name, device, created=True)
        except AlreadyExists:
            found = self._management.device_named(wanted.name)
            if found is None:
                raise
        return _enrolled(wanted.name, self._in_cohort(found, cohort), created=False)

    def enroll_with_psk(self, wanted: WantedDevice, packs: Packs) -> Enrolled:
        """The device with a pre-shared key, and a pack with that key.

        A key that the project has already is put into the pack again; none is made twice.

        Raises:
            PkiError: there is a pack with a certificate or another key, or it can't be written.
        """
        enrolled = self.enroll(wanted)
        credential = self._psk_of(enrolled.device_id, wanted.name)
        pack = packs.find(wanted.name)
        if pack is None:
            pack = packs.with_psk(wanted.name, credential.identity, credential.pre_shared_key)
        elif packs.psk(wanted.name) != credential.pre_shared_key:
            raise PkiError(f"{pack} holds another credential; move it away")
        return replace(enrolled, pack=pack)

    def adopt(self, wanted: WantedDevice) -> Enrolled | None:
        """Put a device that connected by itself into its cohort; None when it never has."""
        found = self._management.device_named(wanted.name)
        if found is None:
            return None
        cohort = self._cohorts.get(wanted.cohort or "")
        return _enrolled(wanted.name, self._in_cohort(found, cohort), created=False)

    def shut_out(self, name: str, *, certified: bool) -> Device:
        """Disable a device for good.

        One that never connected is made first, disabled, if it is ``certified``: its certificate
        would make it otherwise.

        Raises:
            WrongUsage: nobody knows such a device.
        """
        device = self._management.device_named(name)
        if device is None and not certified:
            raise WrongUsage(
                f"no device and no certificate of that name in project {self._management.project}; "
                "check the name. One with a certificate from elsewhere is made known with: "
                f"edgeferry provision enroll {name} --no-certificate"
            )
        if device is None:
            device = self._management.create_device(name)
        if not device.enabled:
            return device
        return self._management.enable_device(device.id, enabled=False)

    def _in_cohort(self, device: Device, cohort: str | None) -> Device:
        if cohort is None or device.cohort_id == cohort:
            return device
        return self._management.join_cohort(device.id, cohort)

    def _psk_of(self, device_id: str, name: str) -> Credential:
        # Golioth: identities come back with the project appended.
        identity = f"{name}@{self._management.project}"
        for credential in self._management.credentials(device_id):
            if credential.identity == identity:
                return credential
        # Golioth: the key is used as text; 32 signs are what mbedTLS takes at most.
        return self._management.add_psk(device_id, name, secrets.token_hex(16))


def cohorts_for(management: Management, devices: list[WantedDevice]) -> dict[str, str]:
    """The id of each cohort that devices ask for; those that are missing are made."""
    names = {device.cohort for device in devices if device.cohort}
    return {name: management.ensure_cohort(name) for name in sorted(names)}


def _enrolled(name: str, device: Device, *, created: bool) -> Enrolled:
    return Enrolled(name, device.id, created, device.cohort_id, device.enabled)
