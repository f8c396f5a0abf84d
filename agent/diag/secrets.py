"""What must not leave the device: found by name in the settings, and removed by its bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from agent.config import Settings
from agent.credentials.renewed import FOLDER
from agent.errors import ConfigurationError
from agent.worker.camera.source_address import SourceAddress
from protocol.errors import CredentialError

REMOVED = b"(removed)"
_SHORTEST = 4
"""Shorter secrets can't be told from ordinary text; PSKs have 32 characters, Golioth's at least."""


def redacted(settings: Settings) -> dict[str, Any]:
    """The configuration in effect; secrets are stars, a stream's URL goes without its user."""
    document = settings.model_dump(mode="json")
    document["worker"]["source"] = str(SourceAddress.parse(settings.worker.source))
    return document


def secrets_of(settings: Settings) -> tuple[bytes, ...]:
    """The bytes of every secret in play, so that they can be looked for wherever they may be."""
    found = {*_in_settings(settings), *_in_files(settings), *_in_source(settings)}
    return tuple(sorted((s for s in found if len(s) >= _SHORTEST), key=len, reverse=True))


def _in_settings(section: BaseModel) -> set[bytes]:
    found: set[bytes] = set()
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            found |= _in_settings(value)
        elif isinstance(value, SecretStr):
            found.add(value.get_secret_value().encode())
    return found


def _in_files(settings: Settings) -> set[bytes]:
    """A PSK as it is; of a private key each line, since logs break texts into lines."""
    try:
        key = settings.golioth.source().key
    except (ConfigurationError, CredentialError):
        key = None
    paths = [key] if isinstance(key, Path) else []
    paths += (settings.device.state_dir / FOLDER).glob("*/*.key")
    found: set[bytes] = set()
    for path in paths:
        try:
            lines = path.read_bytes().split()
        except OSError:
            continue
        found.update(line for line in lines if not line.startswith((b"-----", b"KEY-----")))
    return found - {b"PRIVATE", b"BEGIN", b"END", b"EC"}


def _in_source(settings: Settings) -> set[bytes]:
    address = SourceAddress.parse(settings.worker.source)
    if address.kind != "stream":
        return set()
    parts = urlsplit(address.target)
    return {part.encode() for part in (parts.password, parts.query) if part}


def scrubbed(content: bytes, secrets: tuple[bytes, ...]) -> bytes:
    """Text without any of the secrets."""
    for secret in secrets:
        content = content.replace(secret, REMOVED)
    return content
