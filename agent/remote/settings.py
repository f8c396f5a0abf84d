"""The ``[remote]`` section of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RemoteSettings(BaseModel):
    """What the operator may do from afar, by remote calls (docs/remote-calls.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allow: bool = Field(
        False,
        description="Take the calls that change what serves: rollback, retry, reload and "
        "restart_worker. Looking, holds, snapshots and log levels need no permission.",
    )
