"""Is a deployment what a trusted key signed, and is it the newest word? Asked before anything else.

The signature is one small package: it is fetched and judged before a byte of the release is, so
that a tampered deployment costs no megabytes; and asked for again before the release is opened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from states.deltas import bytes_to_fetch
from states.model import Deployment, Package, Release
from states.ports import Ports, Rejected
from states.reasons import Rejection
from states.trust import SignedRelease, Trust, followed

LARGEST = 64 << 10
"""Bytes a signature package may have."""

_SHORT = 12
_MOST_NAMED = 3


@dataclass(frozen=True)
class Judgement:
    """What a signature document comes to: the trust after it, and what is wrong with the release.

    Newer keys count also where the release that came with them is refused.
    """

    trust: Trust
    fault: Rejected | None = None


def judge(document: SignedRelease, digest: str, release: Release, trust: Trust) -> Judgement:
    """Whether a release may be fetched and opened; ``digest`` is the document's SHA-256."""
    trust = followed(trust, document.key_lists)
    fault = (
        _untrusted(document, trust)
        or _other_packages(document, release)
        or _replayed(document, release, trust)
    )
    if fault is not None:
        return Judgement(trust, fault)
    heard = dict.fromkeys(document.signed & trust.release_keys, document.number)
    numbers = {**trust.numbers, **heard}
    return Judgement(replace(trust, numbers=numbers, signature=digest, release=release.id))


def _untrusted(document: SignedRelease, trust: Trust) -> Rejected | None:
    if document.signed & trust.release_keys:
        return None
    if spoiled := document.broken & trust.release_keys:
        return Rejected(
            Rejection.SIGNATURE_BAD,
            f"the signature of {_named(spoiled)} does not fit what it stands under; deploy again",
        )
    if not document.signed:
        return Rejected(Rejection.SIGNATURE_BAD, "no signature in it is right; deploy again")
    counts = f"here {_named(trust.release_keys)} counts"
    if trust.list_number:
        counts += f", by key list {trust.list_number}"
    return Rejected(
        Rejection.SIGNATURE_UNKNOWN_KEY,
        f"signed by {_named(document.signed)}, {counts}; sign with that key, or issue a key list",
    )


def _other_packages(document: SignedRelease, release: Release) -> Rejected | None:
    signed, deployed = document.packages, frozenset(release.packages)
    if signed == deployed:
        return None
    differing = sorted({package.name for package in signed ^ deployed})
    said = ", ".join(_difference(name, signed, deployed) for name in differing[:_MOST_NAMED])
    return Rejected(
        Rejection.SIGNATURE_MISMATCH,
        f"what was signed is not what is deployed: {said}; deploy again, which signs anew",
    )


def _difference(name: str, signed: frozenset[Package], deployed: frozenset[Package]) -> str:
    before = next((p for p in signed if p.name == name), None)
    now = next((p for p in deployed if p.name == name), None)
    if before is None:
        return f"{name} is not signed"
    if now is None:
        return f"{name} is missing"
    if before.version != now.version:
        return f"{name} {now.version} in place of {before.version}"
    return f"{name} {now.version} has other content"


def _replayed(document: SignedRelease, release: Release, trust: Trust) -> Rejected | None:
    known = document.number == trust.floor and release.id == trust.release
    if document.number > trust.floor or known:
        return None
    return Rejected(
        Rejection.SIGNATURE_REPLAYED,
        f"number {document.number} was signed before number {trust.floor}, which this device has "
        "accepted; to go back on purpose, deploy again, which signs with a higher number "
        "(edgeferry deploy --resign)",
    )


def _named(keys: Iterable[str]) -> str:
    """Keys as people compare them: how their texts begin."""
    known = sorted(keys)
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    return ", ".join(f"{key[:_SHORT]}…" for key in known[:_MOST_NAMED]) + more


class SignatureCheck:
    """Lets only deployments pass that a trusted key stands for, and remembers what it learned."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def must_fetch(self, deployment: Deployment) -> bool:
        """Whether the signature is needed and not on disk."""
        signature = deployment.signature
        if signature is None or self._ports.journal.trust().has_accepted(deployment):
            return False
        return bytes_to_fetch(signature, self._ports.store) > 0

    async def check(self, deployment: Deployment) -> None:
        """Return when the deployment may be taken. Raises Rejected and Postponed."""
        journal = self._ports.journal
        trust = journal.trust()
        if trust.has_accepted(deployment):
            return
        document = await self._document(deployment)
        judgement = judge(document, deployment.signature_id, deployment.release, trust)
        if judgement.trust != trust:
            journal.note_trust(judgement.trust)
        if judgement.fault is not None:
            raise judgement.fault

    async def _document(self, deployment: Deployment) -> SignedRelease:
        signature = deployment.signature
        if signature is None:
            raise Rejected(
                Rejection.SIGNATURE_MISSING,
                "this device has pinned keys (trust.public_keys) and takes signed releases only; "
                "set signing_keys in operator.toml and deploy again",
            )
        try:
            await self._fetch(signature, deployment.release)
            return self._ports.signatures.read(signature)
        except Rejected as fault:
            detail = f"{signature.name} {signature.version}: {fault.detail}"
            raise Rejected(Rejection.SIGNATURE_MALFORMED, detail) from fault

    async def _fetch(self, signature: Package, release: Release) -> None:
        store = self._ports.store
        if signature.size > LARGEST:
            detail = f"{signature.size} bytes; a signature has {LARGEST} at most"
            raise Rejected(Rejection.SIGNATURE_MALFORMED, detail)
        if bytes_to_fetch(signature, store) > store.available_bytes():
            store.collect((release,), self._ports.journal.confirmed_releases())
        await self._ports.fetcher.fetch((signature,), _untold, ())


def _untold(_done: int, _total: int) -> None:
    """Progress is told of the release."""
