"""Organizations, projects, API keys and CA certificates (OpenAPI: Projects, Certificates)."""

from __future__ import annotations

from fastapi import APIRouter

from localcloud.errors import NotFound, PermissionDenied
from localcloud.rest.access import KeyProjectDep, PagingDep, ProjectDep, SecretDep, StoreDep
from localcloud.rest.answers import DELETED, Answer, many, one
from localcloud.rest.bodies import Name, NewCertificate, decode_base64

router = APIRouter()


@router.get("/projects")
async def list_projects(store: StoreDep, project: KeyProjectDep, paging: PagingDep) -> Answer:
    """The one project of the key; the official client takes element 0."""
    listed = [store.projects.get(project)] if paging.page == 0 else []
    return many(listed, 1, paging)


@router.post("/projects")
@router.delete("/projects/{project_id}")
async def change_projects(_project: KeyProjectDep) -> Answer:
    """Beyond what a key of one project may do."""
    raise PermissionDenied(
        "a project's API key can't make or delete projects; "
        "start the cloud with --project NAME to add one"
    )


@router.get("/projects/{project_id}")
async def get_project(store: StoreDep, project: ProjectDep) -> Answer:
    """One project."""
    return one(store.projects.get(project))


@router.put("/projects/{project_id}")
@router.patch("/projects/{project_id}")
async def rename_project(body: Name, store: StoreDep, project: ProjectDep) -> Answer:
    """Change the name; the id stays."""
    return one(store.projects.rename(project, body.required("a project")))


@router.get("/organizations")
async def list_organizations(store: StoreDep, project: KeyProjectDep, paging: PagingDep) -> Answer:
    """The organization of the key's project."""
    organization = store.projects.organization(store.projects.get(project).organization_id)
    return many([organization] if paging.page == 0 else [], 1, paging)


@router.get("/organizations/{organization_id}")
async def get_organization(organization_id: str, store: StoreDep, project: KeyProjectDep) -> Answer:
    """One organization, if it owns the key's project."""
    if store.projects.get(project).organization_id != organization_id:
        raise NotFound(f"organization not found: {organization_id}")
    return one(store.projects.organization(organization_id))


@router.get("/projects/{project_id}/apikeys")
async def list_api_keys(store: StoreDep, project: ProjectDep, paging: PagingDep) -> Answer:
    """Keys without their secrets."""
    return many(*store.api_keys.page(project, paging), paging)


@router.post("/projects/{project_id}/apikeys")
async def create_api_key(body: Name, store: StoreDep, project: ProjectDep) -> Answer:
    """A new key; its secret is in this answer and nowhere else."""
    return one(store.api_keys.create(project, body.required("an API key")))


@router.patch("/projects/{project_id}/apikeys/{key_id}")
async def rename_api_key(key_id: str, body: Name, store: StoreDep, project: ProjectDep) -> Answer:
    """Change a key's name."""
    return one(store.api_keys.rename(project, key_id, body.required("an API key")))


@router.delete("/projects/{project_id}/apikeys/{key_id}")
async def delete_api_key(
    key_id: str, store: StoreDep, project: ProjectDep, secret: SecretDep
) -> Answer:
    """Remove another key of the project."""
    store.api_keys.delete(project, key_id, in_use=secret)
    return DELETED


@router.get("/projects/{project_id}/certificates")
async def list_certificates(store: StoreDep, project: ProjectDep, paging: PagingDep) -> Answer:
    """The project's CA certificates."""
    return many(*store.certificates.page(project, paging), paging)


@router.post("/projects/{project_id}/certificates")
async def add_certificate(body: NewCertificate, store: StoreDep, project: ProjectDep) -> Answer:
    """Accept devices whose certificate is signed by this CA, from their next handshake on."""
    pem = decode_base64("certFile", body.cert_file)
    return one(store.certificates.create(project, pem, body.cert_type, demo=body.demo))


@router.get("/projects/{project_id}/certificates/{certificate_id}")
async def get_certificate(certificate_id: str, store: StoreDep, project: ProjectDep) -> Answer:
    """One CA certificate."""
    return one(store.certificates.get(project, certificate_id))


@router.delete("/projects/{project_id}/certificates/{certificate_id}")
async def delete_certificate(certificate_id: str, store: StoreDep, project: ProjectDep) -> Answer:
    """Trust it no longer."""
    store.certificates.delete(project, certificate_id)
    return DELETED
