"""A call of every route of the management API, in an order in which each has what it needs."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

P, OP = "/projects/{project_id}", "/organizations/{organization_id}/projects/{project_id}"


@dataclass(frozen=True)
class Step:
    """A call, what its answer is, and under which name the id in it is known from then on.

    ``answer`` is "one X", "page of X", "list of X" without paging, "value", "call" or "nothing".
    """

    call: str
    answer: str
    body: Any = None
    keep: str = ""


def steps(pem: str) -> list[Step]:
    content = base64.b64encode(b"model").decode()
    key = {"type": "PRE_SHARED_KEY", "preSharedKey": "secret"}
    return [
        Step("GET /projects", "page of project"),
        Step(f"GET {P}", "one project"),
        Step(f"PUT {P}", "one project", {"name": "Warehouse"}),
        Step(f"PATCH {P}", "one project", {"name": "Warehouse"}),
        Step("GET /organizations", "page of organization"),
        Step("GET /organizations/{organization_id}", "one organization"),
        Step(f"POST {P}/apikeys", "one key", {"name": "guest"}, "key_id"),
        Step(f"GET {P}/apikeys", "page of key"),
        Step(f"PATCH {P}/apikeys/{{key_id}}", "one key", {"name": "renamed"}),
        Step(f"DELETE {P}/apikeys/{{key_id}}", "nothing"),
        Step(f"POST {P}/certificates", "one certificate", {"certFile": pem}, "certificate_id"),
        Step(f"GET {P}/certificates", "page of certificate"),
        Step(f"GET {P}/certificates/{{certificate_id}}", "one certificate"),
        Step(f"DELETE {P}/certificates/{{certificate_id}}", "nothing"),
        Step(f"POST {P}/tags", "one tag", {"name": "roof"}, "tag_id"),
        Step(f"GET {P}/tags", "page of tag"),
        Step(f"GET {P}/tags/{{tag_id}}", "one tag"),
        Step(f"PUT {P}/tags/{{tag_id}}", "one tag", {"name": "attic"}),
        Step(f"PATCH {P}/tags/{{tag_id}}", "one tag", {"name": "roof"}),
        Step(
            f"POST {P}/blueprints",
            "one blueprint",
            {"name": "pi5", "boardId": "pi", "platform": "linux"},
            "blueprint_id",
        ),
        Step(f"GET {P}/blueprints", "page of blueprint"),
        Step(f"GET {P}/blueprints/{{blueprint_id}}", "one blueprint"),
        Step(f"PUT {P}/blueprints/{{blueprint_id}}", "one blueprint", {"platform": "debian"}),
        Step(f"PATCH {P}/blueprints/{{blueprint_id}}", "one blueprint", {"name": "pi-5"}),
        Step(f"POST {OP}/packages", "one package", {"packageId": "ai-model"}, "package_id"),
        Step(f"GET {OP}/packages", "page of package"),
        Step(f"GET {OP}/packages/{{package_id}}", "one package"),
        Step(f"PUT {OP}/packages/{{package_id}}", "one package", {"description": "the model"}),
        Step(
            "POST /artifacts",
            "one artifact",
            {"projectId": "warehouse", "package": "ai-model", "version": "1", "content": content},
            "artifact_id",
        ),
        Step(f"GET {P}/artifacts", "page of artifact"),
        Step(f"GET {P}/artifacts/{{artifact_id}}", "one artifact"),
        Step(f"PUT {P}/artifacts/{{artifact_id}}", "one artifact", {}),
        Step(f"PATCH {P}/artifacts/{{artifact_id}}", "one artifact", {}),
        Step(f"POST {OP}/cohorts", "one cohort", {"name": "Bench"}, "cohort_id"),
        Step(f"GET {OP}/cohorts", "page of cohort"),
        Step(f"GET {OP}/cohorts/{{cohort_id}}", "one cohort"),
        Step(f"PUT {OP}/cohorts/{{cohort_id}}", "one cohort", {"name": "Bench 1"}),
        Step(
            f"POST {OP}/cohorts/{{cohort_id}}/deployments",
            "one deployment",
            {"name": "first", "artifactIds": ["{artifact_id}"]},
            "deployment_id",
        ),
        Step(f"GET {OP}/cohorts/{{cohort_id}}/deployments", "page of deployment"),
        Step(f"GET {OP}/cohorts/{{cohort_id}}/deployments/{{deployment_id}}", "one deployment"),
        Step(
            f"POST {P}/devices",
            "one device",
            {
                "name": "camera-1",
                "hardwareIds": ["hw1"],
                "tagIds": ["{tag_id}"],
                "blueprintId": "{blueprint_id}",
                "cohortId": "bench",
            },
            "device_id",
        ),
        Step(f"GET {P}/devices", "page of device"),
        Step(f"GET {P}/devices/{{device_id}}", "one device"),
        Step(f"PUT {P}/devices/{{device_id}}", "one device", {"name": "camera-2"}),
        Step(f"PATCH {P}/devices/{{device_id}}", "one device", {"addHardwareId": ["hw2"]}),
        Step(
            f"POST {P}/devices/{{device_id}}/credentials",
            "one credential",
            {**key, "identity": "camera"},
            "credential_id",
        ),
        Step(f"GET {P}/devices/{{device_id}}/credentials", "page of credential"),
        Step(f"DELETE {P}/devices/{{device_id}}/credentials/{{credential_id}}", "nothing"),
        Step(
            f"POST {P}/credentials",
            "one credential",
            {**key, "identity": "again", "deviceId": "{device_id}"},
            "credential_id",
        ),
        Step(f"DELETE {P}/credentials/{{credential_id}}?deviceId={{device_id}}", "nothing"),
        Step(f"POST {P}/provisioning", "provisioned", {"name": "camera-3"}),
        Step(f"POST {P}/devices/{{device_id}}/provisioning", "provisioned", {}),
        Step(f"POST {P}/devicesByTag/{{tag_id}}/data/fps", "value", 10),
        Step(f"PUT {P}/devicesByTag/{{tag_id}}/data/fps", "value", 10),
        Step(f"PATCH {P}/devicesByTag/{{tag_id}}/data/fps", "value", 10),
        Step(f"POST {P}/devicesByTag/{{tag_id}}/data", "value", {"on": True}),
        Step(f"PUT {P}/devicesByTag/{{tag_id}}/data", "value", {"on": True}),
        Step(f"PATCH {P}/devicesByTag/{{tag_id}}/data", "value", {"on": True}),
        Step(f"DELETE {P}/devicesByTag/{{tag_id}}/data/fps", "nothing"),
        Step(f"DELETE {P}/devicesByTag/{{tag_id}}/data", "nothing"),
        *(
            Step(f"{method} {P}/devices/{{device_id}}/data{path}", "value", value)
            for path, value in (("", {"on": True}), ("/a/b", 1))
            for method in ("POST", "PUT", "PATCH", "GET")
        ),
        Step(f"DELETE {P}/devices/{{device_id}}/data/a/b", "nothing"),
        Step(f"DELETE {P}/devices/{{device_id}}/data", "nothing"),
        Step("GET /settings-data-types", "list of type"),
        Step(
            f"POST {P}/settings",
            "one setting",
            {"key": "FPS", "dataType": "integer", "value": 1},
            "setting_id",
        ),
        Step(f"GET {P}/settings", "list of setting"),
        Step(f"PUT {P}/settings/{{setting_id}}", "one setting", {"key": "FPS", "value": 2}),
        Step(f"PATCH {P}/settings/{{setting_id}}", "one setting", {"value": 3}),
        Step(f"GET {P}/devices/{{device_id}}/settings", "list of setting"),
        Step(f"DELETE {P}/settings/{{setting_id}}", "nothing"),
        Step(f"GET {P}/devices/{{device_id}}/stream", "page of entry"),
        Step(f"POST {P}/devices/{{device_id}}/stream", "page of entry", {}),
        Step(f"GET {P}/stream", "page of entry"),
        Step(f"POST {P}/stream", "page of entry", {"interval": "1h"}),
        Step(f"GET {P}/logs", "page of log"),
        Step(f"GET {P}/firmware/logs", "page of firmware log"),
        Step(f"GET {OP}/ota-events", "events"),
        Step(f"GET {OP}/ota-events/stats", "stats"),
        # Nothing answers, so the shape of an answer is in the tests of calls.
        Step(f"POST {P}/devices/{{device_id}}/rpc", "late", {"method": "status", "timeout": 1}),
        Step(f"DELETE {OP}/packages/{{package_id}}", "nothing"),
        Step(f"DELETE {OP}/cohorts/{{cohort_id}}", "nothing"),
        Step(f"DELETE {P}/artifacts/{{artifact_id}}", "nothing"),
        Step(f"DELETE {P}/devices/{{device_id}}", "nothing"),
        Step(f"DELETE {P}/blueprints/{{blueprint_id}}", "nothing"),
        Step(f"DELETE {P}/tags/{{tag_id}}", "nothing"),
    ]


def filled(value: Any, ids: dict[str, str]) -> Any:
    """A path or body with ids in place of their names in braces."""
    if isinstance(value, str):
        return re.sub(r"{(\w+)}", lambda found: ids[found[1]], value)
    if isinstance(value, list):
        return [filled(item, ids) for item in value]
    if isinstance(value, dict):
        return {name: filled(item, ids) for name, item in value.items()}
    return value
