"""Projects of one local cloud that hold something of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.serialization import Encoding

from localcloud.storage.settings import Scope
from localcloud.storage.store import Store
from protocol.report import OtaReason, OtaReport, OtaState
from tests.support.pki import Authority


@dataclass(frozen=True)
class Tenant:
    """A project; ``marker`` is in the name or content of everything it has.

    ``ids`` are named as the parameters of the management API's paths.
    """

    project_id: str
    organization_id: str
    marker: str
    ids: dict[str, str]

    @property
    def identity(self) -> str:
        """PSK identity of its device; the key is its marker."""
        return f"camera-of-{self.marker}@{self.project_id}"


@dataclass(frozen=True)
class Tenants:
    """Two projects of one cloud, each with everything there is; ``me`` wants what ``they`` have."""

    store: Store
    me: Tenant
    they: Tenant
    my_key: str
    their_key: str

    @classmethod
    def in_store(cls, store: Store, project_id: str) -> Tenants:
        """Furnish that project and another, which belongs to another organization."""
        elsewhere = store.projects.ensure("Elsewhere", "Others")
        made = [furnish(store, one) for one in (project_id, elsewhere.id)]
        keys = [store.api_keys.create(one.project_id, "operator").key or "" for one in made]
        return cls(store, made[0], made[1], keys[0], keys[1])

    @property
    def revision(self) -> int:
        """The same number: nothing was written meanwhile."""
        return self.store.revision


def furnish(store: Store, project_id: str) -> Tenant:
    """Put something of every kind into a project."""
    marker = f"only-{project_id}-knows"
    artifact = store.artifacts.create(project_id, marker, "1", marker.encode())
    cohort = store.cohorts.create(project_id, marker)
    deployment = store.deployments.create(project_id, cohort.cohort_id, marker, [artifact.id])
    tag, blueprint = (
        store.tags.create(project_id, marker),
        store.blueprints.create(project_id, marker, "pi", "linux"),
    )
    device = store.devices.create(
        project_id,
        marker,
        [marker],
        cohort.cohort_id,
        blueprint_id=blueprint.id,
        tag_ids=[tag.id],
    )
    for scope in (Scope(), Scope(device.id)):
        setting = store.settings.create(project_id, "MARKER", "string", marker, scope)
    ids = {
        "project_id": project_id,
        "organization_id": store.projects.get(project_id).organization_id,
        "device_id": device.id,
        "artifact_id": artifact.id,
        "package_id": marker,
        "cohort_id": cohort.cohort_id,
        "deployment_id": deployment.deployment_id,
        "tag_id": tag.id,
        "blueprint_id": blueprint.id,
        "credential_id": store.credentials.create(
            project_id, device.id, f"camera-of-{marker}", marker
        ).id,
        "certificate_id": store.certificates.create(
            project_id, _authority(marker), "root", demo=False
        ).id,
        "key_id": store.api_keys.create(project_id, marker).id,
        "setting_id": setting.id,
        "path": "marker",
    }
    tenant = Tenant(project_id, ids["organization_id"], marker, ids)
    _let_speak(store, tenant, cohort.cohort_id)
    return tenant


def _let_speak(store: Store, tenant: Tenant, cohort_id: str) -> None:
    """What a device tells of itself."""
    project_id, device_id, marker = tenant.project_id, tenant.ids["device_id"], tenant.marker
    store.state.write(device_id, ["marker"], marker)
    store.stream.add(project_id, device_id, ["marker"], {"text": marker, "format": 1})
    report = OtaReport(marker, OtaState.DOWNLOADING, OtaReason.READY, marker, "2")
    store.events.add(project_id, device_id, cohort_id, report)
    store.logs.add(
        project_id, device_id, level="WARN", module=marker, message=marker, metadata={"m": marker}
    )


def _authority(name: str) -> bytes:
    with TemporaryDirectory() as folder:
        return Authority(Path(folder), name).root.public_bytes(Encoding.PEM)
