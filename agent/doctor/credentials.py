"""Certificate, key and PSK: there, private, belonging together, valid, for whom."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from agent.credentials.renewal import is_due
from agent.credentials.renewed import RenewedPairs
from agent.credentials.sources import CertificateSource, PskSource, from_systemd
from agent.credentials.watch import WARN_DAYS
from agent.doctor.finding import Finding, Patient, error, failed, ok, warning
from agent.errors import ConfigurationError
from protocol.credentials import KeyPair, PskCredential, project_of
from protocol.errors import CredentialError


async def examine_credentials(patient: Patient) -> list[Finding]:
    """Everything that can be said without a connection."""
    try:
        source = patient.settings.golioth.source()
        credential = source.read()
    except ConfigurationError as problem:
        return [error(str(problem), "see docs/credentials.md")]
    except CredentialError as problem:
        return [failed(problem)]
    if isinstance(credential, PskCredential):
        return [*_psk(credential), *_privacy(source)]
    fetched = RenewedPairs(patient.settings.device.state_dir).newest()
    in_use = _newest(credential.pair, fetched)
    return [*_certificate(in_use, patient), *_privacy(source)]


def _newest(given: KeyPair, fetched: KeyPair | None) -> KeyPair:
    if fetched is None or fetched.chain[0].subject != given.chain[0].subject:
        return given
    return max(given, fetched, key=lambda pair: pair.chain[0].not_valid_before_utc)


def _psk(credential: PskCredential) -> Iterator[Finding]:
    yield ok(f"PSK of {credential.identity}, {len(credential.key)} bytes")
    if "@" not in credential.identity:
        yield warning(
            f"the PSK identity {credential.identity} names no project",
            "write <credential id>@<project id>, as the console shows it",
        )


def _certificate(pair: KeyPair, patient: Patient) -> Iterator[Finding]:
    leaf, now = pair.chain[0], patient.known_time.now()
    project = project_of(leaf)
    yield ok(f"certificate {leaf.subject.rfc4514_string()} and its key belong together")
    if "missing" in project:
        yield error(
            "the certificate names no project: its subject has no O",
            "issue it anew with O = the project's id: edgeferry provision device issue",
        )
    ends = leaf.not_valid_after_utc
    days = (ends - now).days
    if now > ends:
        yield error(f"the certificate expired on {ends:%Y-%m-%d}", "issue a new one")
    elif now < leaf.not_valid_before_utc:
        yield warning(
            f"the certificate is valid only from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on",
            "check this device's clock; if it is right, wait or issue another one",
        )
    elif is_due(leaf, now, WARN_DAYS):
        yield warning(f"the certificate expires in {days} days", "renew it: docs/credentials.md")
    else:
        yield ok(f"valid until {ends:%Y-%m-%d}, {days} days left")


def _privacy(source: CertificateSource | PskSource) -> Iterator[Finding]:
    secret = source.key
    if not isinstance(secret, Path) or from_systemd(secret):
        return
    mode = secret.stat().st_mode
    if mode & (stat.S_IRGRP | stat.S_IWGRP):
        yield warning(
            f"{secret}: its group may read or change the key (mode {stat.S_IMODE(mode):04o})",
            f"if the service does not need that: chmod 0600 {secret}",
        )
    else:
        yield ok(f"only its owner may read {secret}")
