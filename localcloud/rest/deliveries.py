"""Packages, artifacts, cohorts and deployments (OpenAPI: Packages, Artifacts, Cohorts)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from localcloud.errors import InvalidArgument
from localcloud.rest.access import (
    KeyProjectDep,
    OwnedProjectDep,
    PagingDep,
    ProjectDep,
    StoreDep,
    check_project,
)
from localcloud.rest.answers import DELETED, Answer, many, one
from localcloud.rest.bodies import (
    Name,
    NewArtifact,
    NewDeployment,
    NewPackage,
    PackageChange,
    decode_base64,
)
from localcloud.storage.artifacts import ArtifactFilter

router = APIRouter()

_OWNED = "/organizations/{organization_id}/projects/{project_id}"
_PACKAGES = _OWNED + "/packages"
_PACKAGE = _PACKAGES + "/{package_id}"
_ARTIFACTS = "/projects/{project_id}/artifacts"
_ARTIFACT = _ARTIFACTS + "/{artifact_id}"
_COHORTS = _OWNED + "/cohorts"
_COHORT = _COHORTS + "/{cohort_id}"
_DEPLOYMENTS = _COHORT + "/deployments"


@router.get(_PACKAGES)
async def list_packages(store: StoreDep, project: OwnedProjectDep, paging: PagingDep) -> Answer:
    """The project's packages."""
    return many(*store.packages.page(project, paging), paging)


@router.post(_PACKAGES)
async def create_package(body: NewPackage, store: StoreDep, project: OwnedProjectDep) -> Answer:
    """A new package."""
    return one(store.packages.create(project, body.package_id, body.description, body.metadata))


@router.get(_PACKAGE)
async def get_package(package_id: str, store: StoreDep, project: OwnedProjectDep) -> Answer:
    """One package."""
    return one(store.packages.get(project, package_id))


@router.put(_PACKAGE)
async def update_package(
    package_id: str, body: PackageChange, store: StoreDep, project: OwnedProjectDep
) -> Answer:
    """Change description or metadata."""
    return one(store.packages.update(project, package_id, body.description, body.metadata))


@router.delete(_PACKAGE)
async def delete_package(package_id: str, store: StoreDep, project: OwnedProjectDep) -> Answer:
    """Remove a package; its artifacts stay."""
    store.packages.delete(project, package_id)
    return DELETED


@router.post("/artifacts")
async def create_artifact(
    body: NewArtifact, request: Request, store: StoreDep, key_project: KeyProjectDep
) -> Answer:
    """Upload a version of a package; the package is made on demand."""
    project = check_project(key_project, body.project_id)
    if body.blueprint_id:
        store.blueprints.get(project, body.blueprint_id)
    content = decode_base64("content", body.content)
    limit: int = request.app.state.max_artifact_bytes
    if len(content) > limit:
        raise InvalidArgument(f"content: {len(content)} bytes are more than the {limit} accepted")
    return one(
        store.artifacts.create(project, body.package, body.version, content, body.blueprint_id)
    )


@router.get(_ARTIFACTS)
async def list_artifacts(
    store: StoreDep,
    project: ProjectDep,
    paging: PagingDep,
    package: Annotated[str | None, Query()] = None,
    version: Annotated[str | None, Query()] = None,
    ids: Annotated[list[str] | None, Query(max_length=100)] = None,
    blueprint_id: Annotated[str | None, Query(alias="blueprintId")] = None,
) -> Answer:
    """Artifacts in the order they were uploaded."""
    listed = tuple(ids) if ids is not None else None
    wanted = ArtifactFilter(package, version, listed, blueprint_id)
    return many(*store.artifacts.page(project, wanted, paging), paging)


@router.get(_ARTIFACT)
async def get_artifact(artifact_id: str, store: StoreDep, project: ProjectDep) -> Answer:
    """One artifact."""
    return one(store.artifacts.get(project, artifact_id))


@router.put(_ARTIFACT)
@router.patch(_ARTIFACT)
async def update_artifact(artifact_id: str, store: StoreDep, project: ProjectDep) -> Answer:
    """Documented without a single field that could change."""
    return one(store.artifacts.get(project, artifact_id))


@router.delete(_ARTIFACT)
async def delete_artifact(artifact_id: str, store: StoreDep, project: ProjectDep) -> Answer:
    """Remove an artifact no deployment lists."""
    store.artifacts.delete(project, artifact_id)
    return DELETED


@router.get(_COHORTS)
async def list_cohorts(store: StoreDep, project: OwnedProjectDep, paging: PagingDep) -> Answer:
    """The project's cohorts."""
    return many(*store.cohorts.page(project, paging), paging)


@router.post(_COHORTS)
async def create_cohort(body: Name, store: StoreDep, project: OwnedProjectDep) -> Answer:
    """A new cohort; devices join by changing their ``cohortId``."""
    return one(store.cohorts.create(project, body.required("a cohort")))


@router.get(_COHORT)
async def get_cohort(cohort_id: str, store: StoreDep, project: OwnedProjectDep) -> Answer:
    """One cohort."""
    return one(store.cohorts.get(project, cohort_id))


@router.put(_COHORT)
async def rename_cohort(
    cohort_id: str, body: Name, store: StoreDep, project: OwnedProjectDep
) -> Answer:
    """Change the name; the id stays."""
    return one(store.cohorts.rename(project, cohort_id, body.required("a cohort")))


@router.delete(_COHORT)
async def delete_cohort(cohort_id: str, store: StoreDep, project: OwnedProjectDep) -> Answer:
    """Remove a cohort; its devices are in none then."""
    store.cohorts.delete(project, cohort_id)
    return DELETED


@router.get(_DEPLOYMENTS)
async def list_deployments(
    cohort_id: str,
    store: StoreDep,
    project: OwnedProjectDep,
    paging: PagingDep,
    name: Annotated[str | None, Query()] = None,
) -> Answer:
    """The cohort's history, newest first."""
    return many(*store.deployments.page(project, cohort_id, name, paging), paging)


@router.post(_DEPLOYMENTS)
async def create_deployment(
    cohort_id: str, body: NewDeployment, store: StoreDep, project: OwnedProjectDep
) -> Answer:
    """Deploy; the cohort's devices that observe their manifest are told at once."""
    return one(store.deployments.create(project, cohort_id, body.name, body.artifact_ids))


@router.get(_DEPLOYMENTS + "/{deployment_id}")
async def get_deployment(
    cohort_id: str, deployment_id: str, store: StoreDep, project: OwnedProjectDep
) -> Answer:
    """One deployment; there is no update and no delete."""
    return one(store.deployments.get(project, cohort_id, deployment_id))
