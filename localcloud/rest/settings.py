"""Settings (OpenAPI: Settings) and calls (OpenAPI: RemoteProcedureCall)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from localcloud.calls import DEFAULT_TIMEOUT, Calls
from localcloud.errors import InvalidArgument
from localcloud.model import Setting
from localcloud.rest.access import KeyProjectDep, ProjectDep, StoreDep
from localcloud.rest.answers import DELETED, Answer, one
from localcloud.rest.bodies import NewCall, NewSetting, SettingChange
from localcloud.storage.settings import DATA_TYPES, Scope
from localcloud.storage.store import Store
from protocol.formats import PlainValue, plain_value

router = APIRouter()

_SETTINGS = "/projects/{project_id}/settings"


async def _calls(request: Request) -> Calls:
    calls: Calls = request.app.state.calls
    return calls


CallsDep = Annotated[Calls, Depends(_calls)]


@router.get("/settings-data-types")
async def list_data_types(_project: KeyProjectDep) -> Answer:
    """The types a setting may have."""
    return {"list": [{"type": name} for name in DATA_TYPES], "total": len(DATA_TYPES)}


@router.get(_SETTINGS)
async def list_settings(
    store: StoreDep,
    project: ProjectDep,
    device_id: Annotated[str, Query(alias="deviceId")] = "",
    blueprint_id: Annotated[str, Query(alias="blueprintId")] = "",
) -> Answer:
    """The project's settings, or one device's or blueprint's own values."""
    return _listed(store.settings.of(project, _scope(store, project, device_id, blueprint_id)))


@router.post(_SETTINGS)
async def create_setting(body: NewSetting, store: StoreDep, project: ProjectDep) -> Answer:
    """A setting of the project, or somebody's own value for one; devices are told at once."""
    scope = _scope(store, project, body.device_id, body.blueprint_id)
    return one(store.settings.create(project, body.key, body.data_type, body.value, scope))


@router.put(_SETTINGS + "/{setting_id}")
@router.patch(_SETTINGS + "/{setting_id}")
async def change_setting(
    setting_id: str, body: SettingChange, store: StoreDep, project: ProjectDep
) -> Answer:
    """Another value; whatever else the body says is ignored."""
    return one(store.settings.change(project, setting_id, body.value))


@router.delete(_SETTINGS + "/{setting_id}")
async def delete_setting(setting_id: str, store: StoreDep, project: ProjectDep) -> Answer:
    """Remove a setting; without its own value a device has the project's again."""
    store.settings.delete(project, setting_id)
    return DELETED


@router.get("/projects/{project_id}/devices/{device_id}/settings")
async def device_settings(device_id: str, store: StoreDep, project: ProjectDep) -> Answer:
    """What holds for a device; its own values have its id."""
    device = store.devices.get(project, device_id)
    return _listed(store.settings.effective(project, device.id))


@router.post("/projects/{project_id}/devices/{device_id}/rpc")
async def call_device(
    device_id: str, body: NewCall, store: StoreDep, project: ProjectDep, calls: CallsDep
) -> Answer:
    """The device's answer, whatever its code (Golioth); without one, code 4 after ``timeout``."""
    device = store.devices.get(project, device_id)
    params = plain_value(body.params, "params")
    # Golioth's Python client sends keyword arguments as an object; devices expect an array.
    keywords: list[PlainValue] = [params] if params else []
    listed = params if isinstance(params, list) else keywords
    result = await calls.call(device.id, body.method, listed, body.timeout or DEFAULT_TIMEOUT)
    return {"statusCode": int(result.code), "detail": result.detail}


def _scope(store: Store, project: str, device_id: str, blueprint_id: str) -> Scope:
    if device_id and blueprint_id:
        raise InvalidArgument("a setting is for a device or for a blueprint, not for both")
    return Scope(
        store.devices.get(project, device_id).id if device_id else None,
        store.blueprints.get(project, blueprint_id).id if blueprint_id else None,
    )


def _listed(settings: Sequence[Setting]) -> Answer:
    return {"list": [setting.shape() for setting in settings], "total": len(settings)}
