"""One project's corner of the management API: paths, and answers as resources."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from provisioning.documents import first_fault
from provisioning.errors import UnexpectedAnswer
from provisioning.resources import Project, Resource
from provisioning.rest import Document, RestApi

_R = TypeVar("_R", bound=Resource)


class ProjectApi:
    """What all groups of calls stand on; ``url`` is the server's address without ``/v1``.

    The key is in no message, log or representation. Calls that may be repeated are, up to
    ``attempts`` times, with ``sleep`` between them; ``timeout`` is in seconds, per call.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        project: str,
        *,
        attempts: int = 5,
        timeout: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.project = project
        base = f"{url.rstrip('/').removesuffix('/v1')}/v1/"
        self._api = RestApi(base, api_key, timeout=timeout, attempts=attempts, sleep=sleep)
        self._organization: str | None = None

    def __repr__(self) -> str:
        return f"<Management of {self.project!r} through {self._api!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    # For the calls.

    def _in_project(self, path: str = "") -> str:
        return f"projects/{segment(self.project)}{path}"

    def _owned(self, path: str) -> str:
        """Golioth: newer objects are addressed through the project's organization."""
        if self._organization is None:
            self._organization = self._get(Project, self._in_project()).organization_id
        return f"organizations/{segment(self._organization)}/{self._in_project(path)}"

    def _get(self, kind: type[_R], path: str) -> _R:
        return read(kind, self._api.get(path).get("data"), f"GET {path}")

    def _send(self, method: str, kind: type[_R], path: str, body: Document) -> _R:
        answer = self._api.send(method, path, body)
        return read(kind, answer.get("data"), f"{method} {path}")

    def _list(self, kind: type[_R], path: str, **query: str | None) -> Iterator[_R]:
        for entry in self._api.pages(path, given(query)):
            yield read(kind, entry, f"GET {path}")


def segment(name: str) -> str:
    """A name as one step of a path, whatever it holds."""
    return quote(name, safe="")


def given(query: dict[str, str | None]) -> Document:
    """The filters that were set."""
    return {name: value for name, value in query.items() if value is not None}


def as_base64(content: bytes) -> str:
    """Golioth: files travel as base64 inside JSON."""
    return base64.b64encode(content).decode("ascii")


def read(kind: type[_R], found: Any, request: str) -> _R:
    """A resource from the API's JSON. Raises UnexpectedAnswer, naming the field."""
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        fault = first_fault(error, "data")
        # Not from the error: that quotes the input, and a credential's is secret.
        raise UnexpectedAnswer(request, f"{kind.__name__} in the answer: {fault}") from None
