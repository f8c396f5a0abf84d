"""What was published from here, with the digests of the bytes that were in hand then.

A signature is to hold against whoever runs the cloud; so what it says must not come from there.
One JSON object a line, only ever added to: fit for version control, and for several machines.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from provisioning import files
from provisioning.errors import PkiError

RECORD_FILE = "published.jsonl"


@dataclass(frozen=True)
class Recorded:
    """A version of a package, as it was published from here; ``size`` in bytes."""

    project: str
    package: str
    version: str
    sha256: str
    size: int

    @classmethod
    def of(cls, project: str, package: str, version: str, content: bytes) -> Recorded:
        """That of these bytes."""
        digest = hashlib.sha256(content).hexdigest()
        return cls(project, package, version, digest, len(content))


class PublishRecord:
    """The record in a signing folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD_FILE

    def add(self, published: Iterable[Recorded]) -> None:
        """Record what is not recorded yet. Raises PkiError."""
        news = [each for each in published if self.find(each) != each]
        at = datetime.now(UTC).isoformat(timespec="seconds")
        text = "".join(json.dumps({**asdict(each), "at": at}) + "\n" for each in news)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise PkiError(f"{self.path} can't be written: {error.strerror}") from error

    def find(self, like: Recorded) -> Recorded | None:
        """What was recorded last of that project, package and version. Raises PkiError."""
        wanted = (like.project, like.package, like.version)
        known = [r for r in self._read() if (r.project, r.package, r.version) == wanted]
        return known[-1] if known else None

    def _read(self) -> Iterable[Recorded]:
        content = files.read_if_there(self.path, "restore it from a backup")
        for number, line in enumerate((content or b"").splitlines(), 1):
            try:
                document = json.loads(line)
                document.pop("at")
                yield Recorded(**document)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise PkiError(
                    f"{self.path}, line {number} is damaged: {error}; remove it and publish that "
                    "version again"
                ) from error
