"""A local cloud for tests: the operator's calls, and devices on real DTLS."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
from aiocoap import GET, Code, Message

from localcloud.cloud import LocalCloud
from protocol.client import ClientLink, Observation, connect
from protocol.credentials import CertificateCredential, Credential, PskCredential
from tests.support.pki import Authority
from tests.support.waiting import PATIENCE, within

Json = dict[str, Any]


@dataclass(frozen=True)
class TestDevice:
    """A device of the cloud with a pre-shared key."""

    __test__ = False

    id: str
    credential: PskCredential


def http_client(base_url: str, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
    """A client that waits as long as a busy machine takes."""
    # It is plain HTTP; without this each client would load the system's trust store.
    return httpx.AsyncClient(base_url=base_url, headers=headers, verify=False, timeout=PATIENCE)


class Operator:
    """The management API with one key, as an operator's program would use it."""

    def __init__(self, base_url: str, key: str, project: str, organization: str) -> None:
        self.http = http_client(f"{base_url}/v1", {"x-api-key": key})
        self.project = f"/projects/{project}"
        self.owned = f"/organizations/{organization}/projects/{project}"
        self._project_id = project

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """The answer of a call that must succeed."""
        answer = await self.http.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def device(self, name: str, cohort: str = "") -> TestDevice:
        made = await self.call(
            "POST", f"{self.project}/devices", {"name": name, "cohortId": cohort}
        )
        device_id, key = made["data"]["id"], f"key-of-{name}"
        credential = await self.call(
            "POST",
            f"{self.project}/devices/{device_id}/credentials",
            {"type": "PRE_SHARED_KEY", "identity": name, "preSharedKey": key},
        )
        return TestDevice(device_id, PskCredential(credential["data"]["identity"], key.encode()))

    async def cohort(self, name: str) -> str:
        made = await self.call("POST", f"{self.owned}/cohorts", {"name": name})
        return str(made["data"]["cohortId"])

    async def join(self, device_id: str, cohort: str) -> None:
        await self.call("PATCH", f"{self.project}/devices/{device_id}", {"cohortId": cohort})

    async def upload(self, package: str, version: str, content: bytes) -> Json:
        made = await self.call(
            "POST",
            "/artifacts",
            {
                "projectId": self._project_id,
                "package": package,
                "version": version,
                "content": base64.b64encode(content).decode(),
            },
        )
        return dict(made["data"])

    async def deploy(self, cohort: str, *artifact_ids: str, name: str = "") -> Json:
        made = await self.call(
            "POST",
            f"{self.owned}/cohorts/{cohort}/deployments",
            {"name": name, "artifactIds": list(artifact_ids)},
        )
        return dict(made["data"])

    async def trust(self, authority: Authority, kind: str = "root") -> Json:
        pem = base64.b64encode(authority.bundle.read_bytes()).decode()
        made = await self.call(
            "POST", f"{self.project}/certificates", {"certFile": pem, "certType": kind}
        )
        return dict(made["data"])

    async def events(self, **query: str) -> list[Json]:
        answer = await self.http.get(f"{self.owned}/ota-events", params=query)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["list"])

    async def logs(self, **query: str) -> list[Json]:
        answer = await self.http.get(f"{self.project}/logs", params=query)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["list"])


class Bench:
    """A running cloud, its operator, and links of devices that are closed after the test."""

    def __init__(self, cloud: LocalCloud, stack: AsyncExitStack) -> None:
        self.cloud = cloud
        self._stack = stack
        self.operator = Operator(
            cloud.http_url, cloud.api_key, cloud.project.id, cloud.project.organization_id
        )
        stack.push_async_callback(self.operator.http.aclose)

    async def link(self, device: TestDevice | Credential) -> ClientLink:
        credential = device.credential if isinstance(device, TestDevice) else device
        link = await connect(*self.cloud.coap_address, credential)
        self._stack.push_async_callback(link.close)
        return link

    def certificate(
        self, authority: Authority, certificate_id: str, project: str | None = None
    ) -> CertificateCredential:
        issued = authority.device(certificate_id, project or self.cloud.project.id)
        return CertificateCredential(issued.certificate, issued.key, self.cloud.server_ca)

    def other_operator(self, project: str) -> Operator:
        made, key = self.cloud.add_project(project)
        operator = Operator(self.cloud.http_url, key, made.id, made.organization_id)
        self._stack.push_async_callback(operator.http.aclose)
        return operator


def request(code: Code, path: str, payload: bytes = b"", **options: Any) -> Message:
    """A request for a path such as ``.u/desired``."""
    segments = tuple(path.split("/")) if path else ()
    return Message(code=code, uri_path=segments, payload=payload, **options)


async def get(link: ClientLink, path: str, **options: Any) -> Message:
    """The answer to a GET."""
    return await link.request(request(GET, path, **options))


async def first(observation: Observation) -> Message:
    """The next message of an observation."""
    return await within(anext(observation))
