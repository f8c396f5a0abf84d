"""Tags and blueprints (OpenAPI: Tags, Blueprints), and state by tag (OpenAPI: LightDB)."""

from __future__ import annotations

from fastapi import APIRouter, Request

from localcloud.rest.access import PagingDep, ProjectDep, StoreDep
from localcloud.rest.answers import DELETED, Answer, many, one
from localcloud.rest.bodies import BlueprintBody, Name
from localcloud.rest.devices import segments
from protocol.formats import ContentFormat
from protocol.values import decode_value

router = APIRouter(prefix="/projects/{project_id}")

_TAG = "/tags/{tag_id}"
_BLUEPRINT = "/blueprints/{blueprint_id}"
_BY_TAG = "/devicesByTag/{tag_id}/data"


@router.get("/tags")
async def list_tags(store: StoreDep, project: ProjectDep, paging: PagingDep) -> Answer:
    """The project's tags."""
    return many(*store.tags.page(project, paging), paging)


@router.post("/tags")
async def create_tag(body: Name, store: StoreDep, project: ProjectDep) -> Answer:
    """A new tag; devices get it by their ``tagIds``."""
    return one(store.tags.create(project, body.required("a tag")))


@router.get(_TAG)
async def get_tag(tag_id: str, store: StoreDep, project: ProjectDep) -> Answer:
    """One tag."""
    return one(store.tags.get(project, tag_id))


@router.put(_TAG)
@router.patch(_TAG)
async def rename_tag(tag_id: str, body: Name, store: StoreDep, project: ProjectDep) -> Answer:
    """Change the name."""
    return one(store.tags.rename(project, tag_id, body.required("a tag")))


@router.delete(_TAG)
async def delete_tag(tag_id: str, store: StoreDep, project: ProjectDep) -> Answer:
    """Remove a tag, also from its devices."""
    store.tags.delete(project, tag_id)
    return DELETED


@router.get("/blueprints")
async def list_blueprints(store: StoreDep, project: ProjectDep, paging: PagingDep) -> Answer:
    """The project's blueprints."""
    return many(*store.blueprints.page(project, paging), paging)


@router.post("/blueprints")
async def create_blueprint(body: BlueprintBody, store: StoreDep, project: ProjectDep) -> Answer:
    """A new blueprint; devices have it as their ``blueprintId``."""
    name = body.required("a blueprint")
    return one(store.blueprints.create(project, name, body.board_id, body.platform))


@router.get(_BLUEPRINT)
async def get_blueprint(blueprint_id: str, store: StoreDep, project: ProjectDep) -> Answer:
    """One blueprint."""
    return one(store.blueprints.get(project, blueprint_id))


@router.put(_BLUEPRINT)
@router.patch(_BLUEPRINT)
async def change_blueprint(
    blueprint_id: str, body: BlueprintBody, store: StoreDep, project: ProjectDep
) -> Answer:
    """Change what is given."""
    changed = store.blueprints.change(
        project, blueprint_id, body.name, body.board_id, body.platform
    )
    return one(changed)


@router.delete(_BLUEPRINT)
async def delete_blueprint(blueprint_id: str, store: StoreDep, project: ProjectDep) -> Answer:
    """Remove a blueprint no device has."""
    store.blueprints.delete(project, blueprint_id)
    return DELETED


@router.post(_BY_TAG)
@router.put(_BY_TAG)
@router.patch(_BY_TAG)
@router.post(_BY_TAG + "/{path:path}")
@router.put(_BY_TAG + "/{path:path}")
@router.patch(_BY_TAG + "/{path:path}")
async def write_states(
    tag_id: str, request: Request, store: StoreDep, project: ProjectDep, path: str = ""
) -> Answer:
    """Set a value in the state of every device with the tag; all of them or none."""
    value = decode_value(await request.body(), ContentFormat.JSON)
    with store.atomic():
        for device_id in store.tags.devices(project, tag_id):
            store.state.write(device_id, segments(path), value)
    return {"data": value}


@router.delete(_BY_TAG)
@router.delete(_BY_TAG + "/{path:path}")
async def delete_states(
    tag_id: str, store: StoreDep, project: ProjectDep, path: str = ""
) -> Answer:
    """Remove a node from the state of every device with the tag."""
    with store.atomic():
        for device_id in store.tags.devices(project, tag_id):
            store.state.delete(device_id, segments(path))
    return DELETED
