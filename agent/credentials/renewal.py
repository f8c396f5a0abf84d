"""Fetching a new certificate before the old one expires, with a key made here (``v1/csr``)."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from agent.credentials.keeper import CredentialKeeper
from agent.credentials.known_time import KnownTime
from agent.credentials.renewed import RenewedPairs
from protocol.credentials import KeyPair
from protocol.errors import LinkError, ProtocolError
from protocol.trouble import Trouble
from protocol.x509_reading import whole_certificate
from states.ports import Postponed

log = logging.getLogger(__name__)

LOOK_SECONDS = 3600.0
"""How often the expiry is looked at, and how soon a request is repeated that the link lost."""
REFUSED_SECONDS = 24 * 3600.0
"""How long nothing is asked after the project said no; it may get a PKI provider later."""


class UnusableCertificate(Exception):  # noqa: N818 - reads as what happened
    """What came back is no certificate for this device and key; the text says why."""


class Link(Protocol):
    """The session, as far as it is used here."""

    async def wait_connected(self) -> None:
        """Return as soon as a link is up."""

    async def request_certificate(self, signing_request: bytes) -> bytes:
        """Have a PKCS#10 request signed, DER both; raises ProtocolError."""

    def reconnect(self) -> None:
        """Make a new link with the present credential."""


def is_due(leaf: x509.Certificate, now: datetime, days_before: float) -> bool:
    """Whether to ask for a new certificate: so many days before, at most a third of its life."""
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    return leaf.not_valid_after_utc - now <= min(timedelta(days=days_before), life / 3)


class Renewer:
    """Asks for a new certificate in time and has it used."""

    def __init__(
        self,
        keeper: CredentialKeeper,
        renewed: RenewedPairs,
        session: Link,
        known_time: KnownTime,
        days_before: float,
    ) -> None:
        self._keeper = keeper
        self._renewed = renewed
        self._session = session
        self._time = known_time
        self._days_before = days_before
        self._trouble = Trouble(log, "fetching a new certificate")

    async def run(self) -> None:
        """Look now and then, for ever."""
        while self._days_before:
            await self._session.wait_connected()
            await asyncio.sleep(await self._look())

    async def _look(self) -> float:
        """Fetch a certificate if it is time. Returns seconds until the next look."""
        shown = self._keeper.shown
        if shown is None or not is_due(shown.leaf, self._time.now(), self._days_before):
            return LOOK_SECONDS
        try:
            await self._renew(shown.credential.pair)
        except (LinkError, Postponed) as error:
            self._trouble.failed(error)
            return LOOK_SECONDS
        except (ProtocolError, UnusableCertificate) as error:
            self._trouble.failed(error)
            return REFUSED_SECONDS
        self._trouble.recovered()
        return LOOK_SECONDS

    async def _renew(self, old: KeyPair) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        answer = await self._session.request_certificate(signing_request(old, key))
        pair = accepted_answer(answer, key, old)
        self._renewed.save(pair)
        log.info("fetched a new certificate, valid until %s", pair.chain[0].not_valid_after_utc)
        self._session.reconnect()


def signing_request(old: KeyPair, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A PKCS#10 request (DER) of the old certificate's subject for a new key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(old.chain[0].subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def accepted_answer(answer: bytes, key: ec.EllipticCurvePrivateKey, old: KeyPair) -> KeyPair:
    """The new pair, with the old one's intermediates if one of them signed it.

    Raises UnusableCertificate.
    """
    try:
        leaf = whole_certificate(x509.load_der_x509_certificate, answer)
    except ValueError as error:
        raise UnusableCertificate(f"the answer is no DER certificate ({error})") from error
    if leaf.public_key() != key.public_key():
        raise UnusableCertificate("the certificate is for another key")
    if leaf.subject != old.chain[0].subject:
        raise UnusableCertificate(f"it names somebody else: {leaf.subject.rfc4514_string()}")
    if leaf.not_valid_after_utc <= old.chain[0].not_valid_after_utc:
        raise UnusableCertificate("it does not last longer than the one there is")
    intermediates = old.chain[1:]
    signed_by_them = any(_issued(leaf, issuer) for issuer in intermediates)
    return KeyPair((leaf, *(intermediates if signed_by_them else ())), key)


def _issued(leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
