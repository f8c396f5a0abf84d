"""Which version of the model a release holds, as the agent wrote it beside the model."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

LONGEST = 200


class ModelVersions:
    """Reads ``releases/<id>/version.txt``; a version never changes, so each is read once."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "releases"
        self._known: dict[str, str] = {}

    def of(self, release: str) -> str | None:
        """The version, or None when the release was not put there by the agent."""
        if release not in self._known:
            try:
                with (self._folder / release / "version.txt").open("rb") as file:
                    text = file.read(LONGEST).decode(errors="replace")
            except OSError:
                return None
            self._known[release] = unquote(text.strip())
        return self._known[release] or None

    def describe(self, release: str) -> str:
        """For people: the version and how the release's id begins."""
        version = self.of(release)
        return f"{version} ({release[:8]})" if version else release[:16]
