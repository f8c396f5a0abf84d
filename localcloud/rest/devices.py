"""Devices, credentials, provisioning and device state (OpenAPI: Devices, Credentials, LightDB)."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Query, Request

from localcloud.model import Device
from localcloud.rest.access import PagingDep, ProjectDep, StoreDep
from localcloud.rest.answers import DELETED, Answer, many, one
from localcloud.rest.bodies import (
    DeviceChange,
    NewCredential,
    NewDevice,
    Provisioning,
    refuse_other_credentials,
)
from localcloud.storage.devices import DeviceFilter, DeviceUpdate
from localcloud.storage.store import Store
from protocol.formats import ContentFormat
from protocol.values import decode_value

router = APIRouter(prefix="/projects/{project_id}")

_DATA = "/devices/{device_id}/data"
_DATA_PATH = _DATA + "/{path:path}"


@router.get("/devices")
async def list_devices(
    store: StoreDep,
    project: ProjectDep,
    paging: PagingDep,
    name: Annotated[str | None, Query(alias="deviceName")] = None,
    hardware_id: Annotated[str | None, Query(alias="hardwareId")] = None,
    cohort_id: Annotated[str | None, Query(alias="cohortId")] = None,
    enabled: Annotated[bool | None, Query()] = None,
    term: Annotated[str | None, Query()] = None,
    blueprint_id: Annotated[str | None, Query(alias="blueprintId")] = None,
    tags: Annotated[list[str] | None, Query(max_length=100)] = None,
) -> Answer:
    """Devices in the order they were made, narrowed by exact fields or a part of a name.

    Of several tags a device must have all.
    """
    wanted = DeviceFilter(
        name, hardware_id, cohort_id, enabled, term, blueprint_id, tuple(tags or ())
    )
    return many(*store.devices.page(project, wanted, paging), paging)


@router.post("/devices")
async def create_device(body: NewDevice, store: StoreDep, project: ProjectDep) -> Answer:
    """A new device with a unique name."""
    return one(_create(body, store, project))


@router.get("/devices/{device_id}")
async def get_device(device_id: str, store: StoreDep, project: ProjectDep) -> Answer:
    """One device."""
    return one(store.devices.get(project, device_id))


@router.put("/devices/{device_id}")
@router.patch("/devices/{device_id}")
async def update_device(
    device_id: str, body: DeviceChange, store: StoreDep, project: ProjectDep
) -> Answer:
    """Change what is given. Joining a cohort pushes its manifest."""
    given = body.model_fields_set
    change = DeviceUpdate(
        name=body.name or None,
        enabled=body.enabled,
        cohort_id=body.cohort_id if "cohort_id" in given else None,
        blueprint_id=body.blueprint_id if "blueprint_id" in given else None,
        tag_ids=body.tag_ids,
        add_tag_ids=body.add_tag_id,
        remove_tag_ids=body.remove_tag_id,
        hardware_ids=body.hardware_ids,
        add_hardware_ids=body.add_hardware_id,
        remove_hardware_ids=body.remove_hardware_id,
    )
    return one(store.devices.update(project, device_id, change))


@router.delete("/devices/{device_id}")
async def delete_device(device_id: str, store: StoreDep, project: ProjectDep) -> Answer:
    """Remove a device and its data; a live session of it ends."""
    store.devices.delete(project, device_id)
    return DELETED


@router.get("/devices/{device_id}/credentials")
async def list_credentials(
    device_id: str, store: StoreDep, project: ProjectDep, paging: PagingDep
) -> Answer:
    """The device's pre-shared keys."""
    store.devices.get(project, device_id)
    return many(*store.credentials.page(project, device_id, paging), paging)


@router.post("/devices/{device_id}/credentials")
async def create_credential(
    device_id: str, body: NewCredential, store: StoreDep, project: ProjectDep
) -> Answer:
    """A new pre-shared key; the identity gets ``@<project id>`` appended."""
    refuse_other_credentials(body.type)
    device = store.devices.get(project, device_id)
    created = store.credentials.create(project, device.id, body.identity, body.pre_shared_key)
    return one(created)


@router.delete("/devices/{device_id}/credentials/{credential_id}")
async def delete_credential(
    device_id: str, credential_id: str, store: StoreDep, project: ProjectDep
) -> Answer:
    """Remove a key; a live session of the device ends."""
    store.credentials.delete(project, device_id, credential_id)
    return DELETED


@router.post("/credentials")
async def create_credential_of(body: NewCredential, store: StoreDep, project: ProjectDep) -> Answer:
    """As above, the device named in the body."""
    return await create_credential(body.device_id, body, store, project)


@router.delete("/credentials/{credential_id}")
async def delete_credential_of(
    credential_id: str,
    store: StoreDep,
    project: ProjectDep,
    device_id: Annotated[str, Query(alias="deviceId")],
) -> Answer:
    """As above, the device named in the query."""
    return await delete_credential(device_id, credential_id, store, project)


@router.post("/provisioning")
async def provision(body: Provisioning, store: StoreDep, project: ProjectDep) -> Answer:
    """A device and its key in one call; what is not given is made up."""
    refuse_other_credentials(body.type)
    with store.atomic():
        device = _create(body, store, project)
        _give_key(body, store, project, device)
    return {"data": {"deviceId": device.id}}


@router.post("/devices/{device_id}/provisioning")
async def provision_known(
    device_id: str, body: Provisioning, store: StoreDep, project: ProjectDep
) -> Answer:
    """A key for a device there is."""
    refuse_other_credentials(body.type)
    device = store.devices.get(project, device_id)
    _give_key(body, store, project, device)
    return {"data": {"deviceId": device.id}}


def _create(body: NewDevice, store: Store, project: str) -> Device:
    return store.devices.create(
        project,
        body.name,
        body.hardware_ids,
        body.cohort_id,
        blueprint_id=body.blueprint_id,
        tag_ids=body.tag_ids,
    )


def _give_key(body: Provisioning, store: Store, project: str, device: Device) -> None:
    identity = body.identity or next(iter(device.hardware_ids), device.name)
    # Golioth: a generated key has 32 hexadecimal characters, used as they are.
    key = body.pre_shared_key or secrets.token_hex(16)
    store.credentials.create(project, device.id, identity, key)


@router.get(_DATA)
@router.get(_DATA_PATH)
async def read_state(
    device_id: str, store: StoreDep, project: ProjectDep, path: str = ""
) -> Answer:
    """The value at a path, null when there is none."""
    device = store.devices.get(project, device_id)
    return {"data": store.state.read(device.id, segments(path))}


@router.post(_DATA)
@router.put(_DATA)
@router.patch(_DATA)
@router.post(_DATA_PATH)
@router.put(_DATA_PATH)
@router.patch(_DATA_PATH)
async def write_state(
    device_id: str, request: Request, store: StoreDep, project: ProjectDep, path: str = ""
) -> Answer:
    """Set a value; objects merge. The body is the raw JSON value."""
    device = store.devices.get(project, device_id)
    value = decode_value(await request.body(), ContentFormat.JSON)
    store.state.write(device.id, segments(path), value)
    return {"data": store.state.read(device.id, segments(path))}


@router.delete(_DATA)
@router.delete(_DATA_PATH)
async def delete_state(
    device_id: str, store: StoreDep, project: ProjectDep, path: str = ""
) -> Answer:
    """Remove the node at a path."""
    device = store.devices.get(project, device_id)
    store.state.delete(device.id, segments(path))
    return DELETED


def segments(path: str) -> list[str]:
    """A path's segments; empty ones are dropped, as device SDKs do."""
    return [segment for segment in path.split("/") if segment]
