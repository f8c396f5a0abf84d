"""Which credential the next connection shows, when there is more than one to choose from.

A device may have the certificate it was given, one it fetched itself, and in memory the one that
worked last. The newest is tried first; one the server turns down gives way to the others, so that
a bad replacement costs a handshake and not the device.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from agent.credentials.known_time import KnownTime
from agent.credentials.renewed import RenewedPairs
from agent.credentials.sources import CertificateSource, Source, from_systemd
from protocol.credentials import Credential, LoadedCertificate, PskCredential
from protocol.errors import (
    CredentialError,
    DeviceCertificateRefused,
    DeviceNotAdmitted,
    ProtocolError,
    ServerUntrusted,
)
from protocol.trouble import Trouble

log = logging.getLogger(__name__)

FORGET_REFUSAL_SECONDS = 6 * 3600.0
"""When a refused certificate is tried again: its CA may have been uploaded since."""

Origin: TypeAlias = Literal["configured", "systemd", "fetched", "memory"]


@dataclass(frozen=True)
class Candidate:
    """A certificate that could be shown, and where it comes from."""

    origin: Origin
    credential: LoadedCertificate

    @property
    def fingerprint(self) -> bytes:
        """Tells one certificate from another."""
        return self.leaf.fingerprint(hashes.SHA256())

    @property
    def leaf(self) -> x509.Certificate:
        """The device's own certificate."""
        return self.credential.pair.chain[0]

    @property
    def subject(self) -> x509.Name:
        """Who it is for."""
        return self.leaf.subject


def preferred(candidates: Iterable[Candidate], refused: Collection[bytes]) -> Candidate:
    """The one to try now: not refused, not from memory, the newest; in this order.

    ``candidates`` holds at least one, in the order in which equals are tried.
    """

    def rank(candidate: Candidate) -> tuple[bool, bool, float]:
        begins = candidate.leaf.not_valid_before_utc.timestamp()
        return (candidate.fingerprint in refused, candidate.origin == "memory", -begins)

    return min(candidates, key=rank)


class CredentialKeeper:
    """Gives each connection its credential and learns from how that went."""

    def __init__(
        self,
        source: Source,
        renewed: RenewedPairs,
        known_time: KnownTime,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._renewed = renewed
        self._known_time = known_time
        self._monotonic = monotonic
        self._trouble = Trouble(log, "credential")
        self._shown: Candidate | PskCredential | None = None
        self._proven: LoadedCertificate | None = None
        self._refused_at: dict[bytes, float] = {}
        self.problem: str | None = None

    @property
    def shown(self) -> Candidate | None:
        """The certificate of the last handshake, None before the first and with a PSK."""
        return self._shown if isinstance(self._shown, Candidate) else None

    def read(self) -> Credential:
        """The credential for a handshake now. Raises CredentialError when there is none."""
        self._shown = self._choose()
        return self._shown.credential if isinstance(self._shown, Candidate) else self._shown

    def has_news(self) -> bool:
        """Whether a handshake now would show another credential than the last one did.

        Files that do not fit together, because only one of them is replaced yet, are no news.
        """
        try:
            chosen = self._choose()
        except CredentialError:
            return False
        if isinstance(chosen, Candidate) and isinstance(self._shown, Candidate):
            return chosen.fingerprint != self._shown.fingerprint
        return self._shown is not None and chosen != self._shown

    def proven(self) -> None:
        """The server answers a connection with the credential shown last."""
        shown = self.shown
        if shown is None or shown.credential is self._proven:
            return
        self._proven = shown.credential
        if shown.origin != "memory":
            self.problem = None
        self._tidy_fetched(shown)

    def _tidy_fetched(self, shown: Candidate) -> None:
        newest = self._renewed.newest()
        if newest is None:
            return
        fetched = Candidate("fetched", LoadedCertificate(newest))
        if fetched.fingerprint == shown.fingerprint:
            self._renewed.settle()
        elif fetched.fingerprint in self._refused():
            log.warning("the certificate fetched last was refused; it is given up")
            self._renewed.discard_newest()

    def failed(self, error: ProtocolError) -> None:
        """The attempt came to nothing."""
        if isinstance(error, ServerUntrusted) and error.not_before is not None:
            if self._known_time.learn(error.not_before):
                log.warning("the clock is behind: the server's certificate is of a later time")
        elif isinstance(error, (DeviceCertificateRefused, DeviceNotAdmitted)):
            self._note_refusal(error)

    def _note_refusal(self, error: ProtocolError) -> None:
        if not isinstance(self._shown, Candidate):
            return
        self.problem = str(error)
        self._refused_at[self._shown.fingerprint] = self._monotonic()

    def _refused(self) -> frozenset[bytes]:
        oldest = self._monotonic() - FORGET_REFUSAL_SECONDS
        return frozenset(leaf for leaf, at in self._refused_at.items() if at > oldest)

    def _choose(self) -> Candidate | PskCredential:
        if not isinstance(self._source, CertificateSource):
            return self._source.read()
        return preferred(self._candidates(), self._refused())

    def _candidates(self) -> list[Candidate]:
        """Every certificate there is. Raises CredentialError when there is none."""
        found: list[Candidate] = []
        failure: CredentialError | None = None
        for gathered in (self._given, self._fetched, self._remembered):
            try:
                found += gathered(found)
            except CredentialError as error:
                failure = failure or error
        if failure is None:
            self._trouble.recovered()
        elif found:
            self._trouble.failed(failure)
        else:
            raise failure
        return found

    def _given(self, _found: list[Candidate]) -> Iterable[Candidate]:
        assert isinstance(self._source, CertificateSource)
        origin: Origin = "systemd" if from_systemd(self._source.certificate) else "configured"
        yield Candidate(origin, self._source.read())

    def _fetched(self, found: list[Candidate]) -> Iterable[Candidate]:
        """What this device fetched, unless it was given the certificate of another device since."""
        assert isinstance(self._source, CertificateSource)
        pair = self._renewed.newest()
        if pair is None or any(c.subject != pair.chain[0].subject for c in found):
            return
        yield Candidate("fetched", LoadedCertificate(pair, self._source.read_server_ca()))

    def _remembered(self, _found: list[Candidate]) -> Iterable[Candidate]:
        if self._proven is not None:
            yield Candidate("memory", self._proven)
