"""The ``[golioth]`` section of the configuration: the cloud, and who this device is there."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from agent.credentials.sources import (
    CertificateSource,
    PskSource,
    Source,
    located,
    systemd_credential,
)
from agent.errors import ConfigurationError

COAPS_PORT = 5684
GOLIOTH_HOST = "coap.golioth.io"

_NOTHING = (
    "golioth: no credential; set certificate and private_key, or psk_id and psk_file,"
    " or hand edgeferry.crt and edgeferry.key to the service (docs/credentials.md)"
)


class GoliothSettings(BaseModel):
    """Where the cloud is and who this device is: a certificate, or a PSK."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field(f"coaps://{GOLIOTH_HOST}", description="The CoAP gateway.")
    psk_id: str | None = Field(None, description="PSK identity: <credential id>@<project id>.")
    psk: SecretStr | None = Field(None, description="The key itself; better as psk_file.")
    psk_file: Path | None = Field(
        None, description="File holding the key, or credential:NAME for one of systemd's."
    )
    certificate: Path | None = Field(
        None, description="Device certificate, PEM, with intermediates; or credential:NAME."
    )
    private_key: Path | None = Field(
        None, description="Key of the certificate, PEM; or credential:NAME."
    )
    server_ca: Path | None = Field(
        None, description="CA bundle, or credential:NAME; the system's when not set."
    )
    renew_days_before: float = Field(
        30.0,
        ge=0,
        description="Days before its expiry at which the device asks for a new certificate, at"
        " most a third of its life; 0 leaves that to you. Needs a PKI provider in the project.",
    )
    handshake_seconds: float = Field(20.0, gt=0, description="Longest DTLS handshake.")
    poll_seconds: float = Field(300.0, gt=0, description="How often the manifest is asked for.")
    keep_alive_seconds: float = Field(9.0, gt=0, description="Longest silence on the link.")
    requests_per_second: float = Field(
        20.0, ge=0, description="Golioth's limit per device; 0 for a server that has none."
    )

    @field_validator("uri")
    @classmethod
    def _coaps(cls, uri: str) -> str:
        parts = urlsplit(uri)
        if parts.scheme != "coaps" or not parts.hostname:
            raise ValueError(f"{uri!r} is no coaps://host[:port] address")
        return uri

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the gateway."""
        parts = urlsplit(self.uri)
        return parts.hostname or "", parts.port or COAPS_PORT

    def source(self) -> Source:
        """Where this device's credential comes from; nothing is read yet.

        Without a configured credential it is the service manager's, if that has one for us.

        Raises:
            ConfigurationError: neither or both kinds are configured, or half of one.
            CredentialError: a PSK written into the configuration that no link can carry.
        """
        if self.certificate is not None or self.private_key is not None:
            return self._certificate()
        if self.psk_id is not None or self.psk is not None or self.psk_file is not None:
            return self._psk(self.psk_id)
        return self._from_systemd()

    def _certificate(self) -> CertificateSource:
        if self.certificate is None or self.private_key is None:
            raise ConfigurationError("golioth: certificate and private_key belong together")
        if self.psk_id is not None:
            raise ConfigurationError("golioth: set a certificate or a PSK, not both")
        certificate = located("golioth.certificate", self.certificate)
        key = located("golioth.private_key", self.private_key)
        return CertificateSource(certificate, key, self._server_ca())

    def _psk(self, identity: str | Path | None) -> PskSource:
        identity = identity or systemd_credential("psk-id")
        if identity is None:
            raise ConfigurationError("golioth: a PSK is set but not whose it is; set psk_id")
        if self.psk is not None:
            written_here = PskSource(identity, self.psk)
            if not written_here.is_in_files:
                written_here.read()
            return written_here
        if self.psk_file is not None:
            return PskSource(identity, located("golioth.psk_file", self.psk_file))
        handed_over = systemd_credential("psk")
        if handed_over is None:
            raise ConfigurationError("golioth: psk_id is set but neither psk_file nor psk is")
        return PskSource(identity, handed_over)

    def _from_systemd(self) -> Source:
        certificate, key = systemd_credential("crt"), systemd_credential("key")
        if certificate is not None and key is not None:
            return CertificateSource(certificate, key, self._server_ca())
        identity = systemd_credential("psk-id")
        if identity is None:
            raise ConfigurationError(_NOTHING)
        return self._psk(identity)

    def _server_ca(self) -> Path | None:
        if self.server_ca is None:
            return systemd_credential("ca")
        return located("golioth.server_ca", self.server_ca)
