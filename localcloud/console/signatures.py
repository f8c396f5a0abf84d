"""What devices that demand signatures would say to a deployment, as far as a cloud can tell.

The console holds no keys, so it signs nothing (``docs/signing.md``). Whatever it would start under
a wrong signature, or under none where there was one, devices with a pinned key would refuse.
"""

from __future__ import annotations

from collections.abc import Sequence

from localcloud.console.visit import Visit
from localcloud.model import Artifact
from protocol.errors import CodecError
from protocol.signing import LARGEST, decode_document
from protocol.statements import ReleaseStatement

SIGNATURE_PACKAGE = "release-signature"
"""Where a signature travels unless an operator and all devices agree on another name."""


def refusal(visit: Visit, before: Sequence[Artifact], after: Sequence[Artifact]) -> str | None:
    """What devices with a pinned key would refuse ``after`` for, if they have ``before``; or None.

    In words, and with the devices' own word for it.
    """
    had = _signature(before)
    given = _signature(after)
    if given is None:
        return "What the cohort has is signed, this is not (signature-missing)" if had else None
    name = f"{SIGNATURE_PACKAGE} {given.version}"
    try:
        statement = _statement(visit, given)
    except CodecError as error:
        return f"{name} can't be read (signature-malformed): {error}"
    if differs := _differing(statement, after):
        return f"{name} was made for another {differs} (signature-mismatch)"
    if had and statement.number < _number(visit, had):
        return f"{name} is older than the one the cohort has (signature-replayed)"
    return None


def _signature(artifacts: Sequence[Artifact]) -> Artifact | None:
    return next((a for a in artifacts if a.package == SIGNATURE_PACKAGE), None)


def _statement(visit: Visit, signature: Artifact) -> ReleaseStatement:
    """What was signed, by whomever: whose word counts, the devices know. Raises CodecError."""
    content = visit.store.artifacts.content(visit.project_id, SIGNATURE_PACKAGE, signature.version)
    raw = content.read(0, LARGEST + 1) if content else b""
    return decode_document(raw).release.statement


def _number(visit: Visit, signature: Artifact) -> int:
    """Its place among all signatures; one that can't be read has none to keep."""
    try:
        return _statement(visit, signature).number
    except CodecError:
        return 0


def _differing(statement: ReleaseStatement, artifacts: Sequence[Artifact]) -> str:
    """Packages that were signed and are given otherwise or not at all; "" for none."""
    given = {a.package: (a.version, a.sha256) for a in artifacts}
    signed = {p.name: (p.version, p.sha256) for p in statement.packages}
    return ", ".join(sorted(name for name in signed if given.get(name) != signed[name]))
