"""Golioth's management API, as far as operators of Edgeferry need it.

An API key belongs to one project, and so does a Management. The same client drives the local
cloud. Every method raises a :class:`~provisioning.errors.ManagementError` that says what to do. ::

    with Management("https://api.golioth.io", api_key, "warehouse") as management:
        cohort = management.create_cohort("cameras")
        artifact = management.publish("ai-model", "2", Path("model.tflite").read_bytes())
        management.deploy(cohort, "second model", [artifact.id])
"""

from __future__ import annotations

from collections.abc import Iterator

from provisioning.delivery_calls import DeliveryCalls
from provisioning.fleet_calls import FleetCalls
from provisioning.resources import Project
from provisioning.stream_calls import StreamCalls


class Management(FleetCalls, DeliveryCalls, StreamCalls):
    """One project's management API; see :class:`~provisioning.project_api.ProjectApi`."""

    def projects(self) -> Iterator[Project]:
        """The projects this key can see, its own first."""
        return self._list(Project, "projects")
