"""The operator's side of the demo: a project, a cohort, one device with a certificate."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from demo.cloud_process import CloudAddress
from demo.stage import await_that
from provisioning.golden_set import pack_golden_set
from provisioning.management import Management
from provisioning.pki import KeyPair, create_ca, issue_device
from provisioning.resources import Device

MODEL_PACKAGE, LABELS_PACKAGE, GOLDEN_SET_PACKAGE = "ai-model", "labels", "golden-set"
COHORT = "demo"


@dataclass(frozen=True)
class Files:
    """What the demo publishes and classifies."""

    model_1: Path
    model_2: Path
    three_outputs: Path
    collapsed: Path
    another_model: Path
    labels: Path
    pictures: Path


@dataclass(frozen=True)
class Enrolled:
    """A device the cloud knows by a pre-shared key."""

    device_id: str
    identity: str
    key: str = field(repr=False)


class Fleet:
    """One cohort of a project, through the management API."""

    def __init__(self, address: CloudAddress, cohort: str = COHORT) -> None:
        self.management = Management(address.http, address.api_key, address.project)
        self.cohort = self.management.create_cohort(cohort)
        self._deployments = 0

    def close(self) -> None:
        """Close the connection."""
        self.management.close()

    def issue_certificate(self, folder: Path, certificate_id: str) -> KeyPair:
        """Make a CA, let the project trust it, and issue a device's certificate.

        The device itself need not be known: it appears when it first connects.
        """
        ca = KeyPair.in_folder(folder / "ca", "ca")
        create_ca(ca, "Edgeferry demo CA")
        self.management.upload_ca(ca.certificate.read_bytes())
        device = KeyPair.in_folder(folder / "device", "client")
        issue_device(ca, device, self.management.project, certificate_id)
        return device

    def enroll(self, name: str) -> Enrolled:
        """Make a device with a pre-shared key in the cohort."""
        device = self.management.create_device(name)
        key = secrets.token_hex(16)
        credential = self.management.add_psk(device.id, name, key)
        self.management.join_cohort(device.id, self.cohort)
        return Enrolled(device.id, credential.identity, key)

    def adopt(self, certificate_id: str, seconds: float) -> Device:
        """Put a device that has connected for the first time into the cohort."""

        def appeared() -> Device | None:
            return next(self.management.devices(name=certificate_id), None)

        device: Device = await_that(f"device {certificate_id} appears", appeared, seconds)
        self.management.join_cohort(device.id, self.cohort)
        return device

    def upload(self, version: str, model: Path, labels: Path) -> list[str]:
        """Artifact ids of a model and the labels, uploaded unless they are there."""
        return [
            self._artifact(MODEL_PACKAGE, version, model.read_bytes()),
            self._artifact(LABELS_PACKAGE, "1", labels.read_bytes()),
        ]

    def upload_golden_set(self, pictures: Path) -> str:
        """Artifact id of a folder of labelled pictures, packed."""
        return self._artifact(GOLDEN_SET_PACKAGE, "1", pack_golden_set(pictures))

    def deploy(self, name: str, artifacts: list[str]) -> None:
        """Deploy to the cohort."""
        self._deployments += 1
        self.management.deploy(self.cohort, f"{self._deployments}: {name}", artifacts)

    def _artifact(self, package: str, version: str, content: bytes) -> str:
        return self.management.publish(package, version, content).id
