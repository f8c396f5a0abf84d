"""Devices, their credentials and state, and the authorities that vouch for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from provisioning.project_api import ProjectApi, as_base64, segment
from provisioning.resources import CaCertificate, Credential, Device
from provisioning.rest import Document


class FleetCalls(ProjectApi):
    """The calls about devices."""

    def devices(self, *, name: str | None = None, cohort_id: str | None = None) -> Iterator[Device]:
        """All devices, or those of that name, or of that cohort."""
        path = self._in_project("/devices")
        return self._list(Device, path, deviceName=name, cohortId=cohort_id)

    def device(self, device_id: str) -> Device:
        """One device."""
        return self._get(Device, self._device(device_id))

    def device_named(self, name: str) -> Device | None:
        """The device of exactly that name, None where there is none."""
        return next((d for d in self.devices(name=name) if d.name == name), None)

    def create_device(
        self, name: str, hardware_ids: Sequence[str] = (), *, cohort_id: str | None = None
    ) -> Device:
        """A new device; its name is also its hardware id where none is given."""
        body: Document = {"name": name, "hardwareIds": list(hardware_ids) or [name], "tagIds": []}
        if cohort_id is not None:
            body["cohortId"] = cohort_id
        return self._send("POST", Device, self._in_project("/devices"), body)

    def enable_device(self, device_id: str, *, enabled: bool) -> Device:
        """Let a device in, or keep it out whatever credential it shows."""
        return self._send("PATCH", Device, self._device(device_id), {"enabled": enabled})

    def join_cohort(self, device_id: str, cohort_id: str) -> Device:
        """Put a device into a cohort; Golioth sends it the cohort's manifest at once."""
        return self._send("PATCH", Device, self._device(device_id), {"cohortId": cohort_id})

    def device_state(self, device_id: str, path: str = "") -> Any:
        """A LightDB State value, None where there is none; "" is the whole document."""
        return self._api.get(self._state(device_id, path)).get("data")

    def set_device_state(self, device_id: str, path: str, value: Any) -> None:
        """Write a LightDB State value, any JSON."""
        self._api.send("PUT", self._state(device_id, path), value)

    def logs(self, device_id: str) -> Iterator[Document]:
        """A device's log lines, newest first, as the API tells them."""
        return self._api.pages(self._in_project("/logs"), {"deviceId": device_id})

    def credentials(self, device_id: str) -> Iterator[Credential]:
        """A device's pre-shared keys."""
        return self._list(Credential, f"{self._device(device_id)}/credentials")

    def add_psk(self, device_id: str, identity: str, key: str) -> Credential:
        """Give a device a pre-shared key; the answer has its full identity, with the project."""
        body = {"type": "PRE_SHARED_KEY", "identity": identity, "preSharedKey": key}
        return self._send("POST", Credential, f"{self._device(device_id)}/credentials", body)

    def ca_certificates(self) -> Iterator[CaCertificate]:
        """The authorities whose device certificates the project accepts."""
        return self._list(CaCertificate, self._in_project("/certificates"))

    def upload_ca(self, pem: bytes, *, intermediate: bool = False) -> CaCertificate:
        """Let the project accept device certificates of this authority; ``pem`` is PEM text."""
        body = {"certFile": as_base64(pem), "certType": "intermediate" if intermediate else "root"}
        return self._send("POST", CaCertificate, self._in_project("/certificates"), body)

    def _device(self, device_id: str) -> str:
        return self._in_project(f"/devices/{segment(device_id)}")

    def _state(self, device_id: str, path: str) -> str:
        return f"{self._device(device_id)}/data/{quote(path.strip('/'))}"
