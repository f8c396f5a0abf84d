"""The ``[trust]`` section of the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from agent.errors import ConfigurationError
from protocol.errors import CodecError
from protocol.statements import public_key

_MOST_BYTES = 4096


@dataclass(frozen=True)
class PinnedKey:
    """A public key and where it stands: a file, or None for the configuration itself."""

    key: str
    file: Path | None


class TrustSettings(BaseModel):
    """Whose signed releases this device takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    public_keys: tuple[str, ...] = Field(
        (),
        description="Ed25519 public keys: files, or as they are (PEM, or base64 as `edgeferry "
        "signing-key show` prints). With any, releases that none of them stands for are refused "
        "(docs/signing.md).",
    )

    def pinned(self) -> Iterator[PinnedKey]:
        """Every key. Raises ConfigurationError for the first that can't be used."""
        return map(pinned_key, self.public_keys)

    def keys(self) -> frozenset[str]:
        """The keys alone. Raises ConfigurationError."""
        return frozenset(pinned.key for pinned in self.pinned())


def pinned_key(text: str) -> PinnedKey:
    """The key that an entry of ``public_keys`` is or names. Raises ConfigurationError."""
    try:
        return PinnedKey(public_key(text), None)
    except CodecError as problem:
        if "-----" in text:
            raise _unusable("a key in it", str(problem)) from problem
    path = Path(text)
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES).decode()
        return PinnedKey(public_key(content), path)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "no text"
        raise _unusable(repr(text[:200]), f"no key, and no file to read: {reason}") from problem
    except CodecError as problem:
        raise _unusable(str(path), str(problem)) from problem


def _unusable(what: str, problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"trust.public_keys: {what}: {problem}; take what `edgeferry signing-key show` prints on "
        "the operator's machine"
    )
