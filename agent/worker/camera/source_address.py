"""Where pictures come from, as the configuration names it; never shows a stream's secrets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from agent.worker.errors import SourceError

STREAM_SCHEMES = frozenset({"rtsp", "rtsps", "http", "https"})
KNOWN = "camera:N, rtsp://…, http(s)://…, video:PATH, dir:PATH or synthetic:"


@dataclass(frozen=True)
class SourceAddress:
    """``camera:N``, a stream's URL, ``video:PATH``, ``dir:PATH`` or ``synthetic:``.

    ``str()`` is for logs and people: without the user, the password and the query of a URL.
    """

    kind: Literal["camera", "stream", "video", "dir", "synthetic"]
    target: str = field(repr=False)
    """Number, URL with whatever secrets it holds, or path."""

    @classmethod
    def parse(cls, text: str) -> SourceAddress:
        """Raises SourceError, listing what is known."""
        kind, _, target = text.partition(":")
        if kind == "camera" and target.isdecimal():
            return cls("camera", target)
        if kind == "video" and target:
            return cls("video", target)
        if kind == "dir" and target:
            return cls("dir", target)
        if text == "synthetic:":
            return cls("synthetic", "")
        if kind.lower() in STREAM_SCHEMES:
            return cls("stream", _checked_url(text).geturl())
        # What can't be understood may hold a password as well.
        shown = f"{kind}:…" if "@" in text or "?" in text else text
        raise SourceError(f"'{shown}' is no source: {KNOWN}")

    def __str__(self) -> str:
        if self.kind != "stream":
            return f"{self.kind}:{self.target}"
        parts = urlsplit(self.target)
        place = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=place, query="…" if parts.query else "", fragment="").geturl()


def _checked_url(text: str) -> SplitResult:
    """The parts of a stream's URL; errors name its scheme alone, since the rest may be secret."""
    scheme = text.partition(":")[0]
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not text.isprintable() or " " in text:
        raise SourceError(
            f"the {scheme} address of the source is no URL like {scheme}://host[:port]/path; "
            "write special characters of a password as %XX"
        )
    return parts
