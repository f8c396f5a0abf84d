"""Who may call what: an API key belongs to one project and acts only there (Golioth)."""

# Every dependency is a coroutine: FastAPI would run plain functions in other threads, where the
# store must not be used.

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from localcloud.errors import NotFound, PermissionDenied, Unauthenticated
from localcloud.storage.database import MAX_PAGE, Paging
from localcloud.storage.store import Store


async def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


StoreDep = Annotated[Store, Depends(_store)]


def secret_of(request: Request) -> str:
    """The API key a request came with, or Unauthenticated."""
    key = request.headers.get("x-api-key")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if key is None and scheme.lower() == "bearer":
        key = token.strip()
    if not key:
        raise Unauthenticated("no API key: send it as 'x-api-key' or 'Authorization: bearer'")
    return key


async def _secret(request: Request) -> str:
    return secret_of(request)


SecretDep = Annotated[str, Depends(_secret)]


async def _key_project(store: StoreDep, secret: SecretDep) -> str:
    return store.api_keys.project_of(secret)


KeyProjectDep = Annotated[str, Depends(_key_project)]


def check_project(key_project: str, project_id: str) -> str:
    """The project id, if the key belongs to it; the answer tells nothing about other projects."""
    if project_id != key_project:
        raise PermissionDenied(
            f"this API key belongs to project {key_project!r}, not to {project_id!r}"
        )
    return project_id


async def _project(project_id: str, key_project: KeyProjectDep) -> str:
    return check_project(key_project, project_id)


ProjectDep = Annotated[str, Depends(_project)]


async def _owned_project(organization_id: str, project: ProjectDep, store: StoreDep) -> str:
    if store.projects.get(project).organization_id != organization_id:
        raise NotFound(f"project {project!r} is not in organization {organization_id!r}")
    return project


# For the paths that name the organization as well.
OwnedProjectDep = Annotated[str, Depends(_owned_project)]


async def _paging(
    page: Annotated[int, Query(lt=2**31)] = 0,
    per_page: Annotated[int, Query(alias="perPage")] = MAX_PAGE,
) -> Paging:
    return Paging(page, per_page)


PagingDep = Annotated[Paging, Depends(_paging)]
