"""What can go wrong on the operator's side.

::

    ProvisioningError               everything below; str() says what, where, and what to do next
     ├ WrongUsage                   what was asked can't be: an option, a setting, a list's line
     ├ PkiError                     a certificate or key that is missing, unreadable or unfit
     │  ├ WouldOverwrite            a file is there already and nobody asked to replace it
     │  └ WrongPassphrase           the CA's key does not open with it
     └ ManagementError              the management API didn't do it; ``.request`` names the call
        ├ Unreachable               nothing came back, also after several tries
        ├ UnexpectedAnswer          something came back that isn't the documented shape
        └ Refused                   the documented error; ``.http_status``, ``.code``, ``.message``
           ├ AccessDenied          401, 403: the key is wrong or belongs to another project
           ├ NotFound               404
           ├ AlreadyExists          the name, identity or version is taken
           │  └ ArtifactDiffers     that version of the package holds other bytes
           ├ InvalidRequest         400
           ├ RateLimited            429; ``.retry_after`` in seconds, if the server said so
           └ ServerFailed           5xx
"""

# ruff: noqa: N818 - the names read as what happened

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

_LONGEST_MESSAGE, _LONGEST_DETAIL = 800, 1200


class ProvisioningError(Exception):
    """Something on the operator's side that needs the operator."""

    exit_status: ClassVar[int] = 1


class WrongUsage(ProvisioningError):
    """What was asked for can't be done as it was asked."""

    exit_status = 2


class PkiError(ProvisioningError):
    """A certificate or key file that can't be used."""


class WouldOverwrite(PkiError):
    """Refused, because a file of that name holds something else already."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} exists already and is not overwritten; move it away or choose another folder"
        )
        self.path = path


class WrongPassphrase(PkiError):
    """The passphrase does not open the key."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} does not open with this passphrase; check where the passphrase comes from"
        )


class ManagementError(ProvisioningError):
    """A call to the management API that did not do what it was asked.

    What the server said of it is cut and made printable: it ends up on terminals and in logs.
    """

    def __init__(self, request: str, detail: str) -> None:
        shown = "".join(c if c.isprintable() else "?" for c in detail[:_LONGEST_DETAIL])
        super().__init__(f"{request}: {shown}")
        self.request = request


class Unreachable(ManagementError):
    """No answer from the management API."""


class UnexpectedAnswer(ManagementError):
    """An answer that is not of the documented shape."""


class Refused(ManagementError):
    """The management API answered with an error.

    ``message`` is the server's own, ``code`` its gRPC code where it sent one.
    """

    advice: ClassVar[str] = ""

    def __init__(self, request: str, http_status: int, code: int | None, message: str) -> None:
        said = message[:_LONGEST_MESSAGE].rstrip(".") or "no reason given"
        super().__init__(request, f"{said} (HTTP {http_status}){self.advice}")
        self.http_status = http_status
        self.code = code
        self.message = message
        self.retry_after: float | None = None


class AccessDenied(Refused):
    """The API key is not accepted here."""

    advice = "; check the API key, and that it was made for this project"


class NotFound(Refused):
    """There is no such object in this project."""

    advice = "; check the name, and that the project is the right one"


class AlreadyExists(Refused):
    """Something of that name is there already."""

    advice = "; use what is there, or choose another name or version"


class ArtifactDiffers(AlreadyExists):
    """A version can't be published again with other content."""

    def __init__(self, package: str, version: str) -> None:
        super().__init__("POST artifacts", 409, None, "artifact already exists")
        self.args = (f"{package} {version} is published with other content; give it a new version",)


class InvalidRequest(Refused):
    """The server does not accept what was sent."""


class RateLimited(Refused):
    """Too many calls; ``retry_after`` is in seconds, None where the server did not say."""

    advice = "; wait and try again"


class ServerFailed(Refused):
    """The server could not do it."""

    advice = "; try again later"
