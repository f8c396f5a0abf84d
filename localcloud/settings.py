"""What a local cloud can be told."""

from __future__ import annotations

from dataclasses import dataclass

EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound
"""Hosts that stand for all addresses of this machine."""


@dataclass(frozen=True)
class CloudSettings:
    """Port 0 takes any free port.

    ``rate_limit``: requests per second each device may send, None lifts the limit (Golioth: 20).
    ``response_delay``: seconds each CoAP answer is held back; above 0.1 the answers come apart from
    the acknowledgement instead of in it (RFC 7252, 5.2.2), which real links do now and then.
    ``certificate_days``: life of the certificates that ``v1/csr`` gives to devices; 0 leaves that
    service out, as in a Golioth project without PKI provider.
    ``max_artifact_bytes``: the largest artifact that may be uploaded.
    """

    host: str = "127.0.0.1"
    coap_port: int = 5684
    http_port: int = 8080
    project: str = "demo"
    organization: str = "local"
    rate_limit: float | None = 20.0
    response_delay: float = 0.0
    certificate_days: float = 90.0
    max_artifact_bytes: int = 64 * 1024 * 1024
