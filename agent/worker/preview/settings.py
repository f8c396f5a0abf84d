"""The ``[worker.preview]`` section of the configuration."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator


class PreviewSettings(BaseModel):
    """Whether and where the live picture can be seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on: bool = Field(False, description="Serve the page, /snapshot.jpg, /status.json and /metrics.")
    listen: str = Field(
        "127.0.0.1:8080",
        description="Address and port. There is no password: beyond loopback everybody who "
        "reaches the port sees the camera.",
    )
    hosts: tuple[str, ...] = Field(
        (),
        description="Names by which the page is asked for, beside localhost, this machine's name "
        "and any IP address; others are refused (DNS rebinding).",
    )
    frames_per_second: float = Field(
        15.0, gt=0, le=60, description="Most pictures encoded, for all who watch together."
    )

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, listen: str) -> str:
        _split(listen)
        return listen

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; port 0 takes a free one."""
        return _split(self.listen)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        host = self.address[0]
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def _split(listen: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{listen}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.netloc != listen or "@" in listen:
        raise ValueError(f"{listen!r} is no address like 127.0.0.1:8080 or [::1]:8080")
    return host, port
