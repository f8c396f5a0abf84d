"""Issuing, signing and renewing device certificates, so that a run may end at any moment.

A pack appears whole under its name, then the register gets its entry. A run that was killed in
between left packs without entries: the next one enters them. What is there is never made twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from provisioning.ca_folder import CaFolder, Signer
from provisioning.certificates import (
    device_certificate,
    fingerprint,
    issued_by,
    new_key,
    subject_names,
)
from provisioning.errors import PkiError, WrongUsage
from provisioning.key_pair import AskPassphrase
from provisioning.packs import Packs
from provisioning.pki import DEVICE_DAYS
from provisioning.register import Entry, Register
from provisioning.signing_requests import DeviceRequest

_ENTERED_TOGETHER = 50


class Outcome(StrEnum):
    """What became of one device."""

    ISSUED = "issued"
    RENEWED = "renewed"
    KEPT = "already there"
    ENTERED = "found and entered"


@dataclass(frozen=True)
class Issued:
    """One device's certificate after a step; ``new`` tells whether the register lacks it."""

    name: str
    outcome: Outcome
    entry: Entry
    pack: Path | None
    new: bool = field(default=True, repr=False)

    @property
    def detail(self) -> str:
        """A line for people."""
        pack = f", {self.pack}" if self.pack else ""
        return f"until {self.entry.not_after:%Y-%m-%d}{pack}"

    def summary(self) -> dict[str, object]:
        """For scripts."""
        pack = None if self.pack is None else str(self.pack)
        return {"pack": pack, "certificate": self.entry.summary()}


class Issuer:
    """Issues for one project. Safe to use from several threads, each on devices of its own.

    ``known`` is the newest entry of each device. Every method raises PkiError.
    """

    def __init__(
        self,
        signer: Signer,
        project: str,
        packs: Packs,
        known: dict[str, Entry],
        *,
        days: int = DEVICE_DAYS,
    ) -> None:
        self._signer = signer
        self._project = project
        self._packs = packs
        self._known = known
        self._days = days

    def issue(self, name: str) -> Issued:
        """The device's certificate and pack, made unless there is a certificate already.

        A pack that was taken away to its device is not made again: only :meth:`renew` does that.
        """
        known = self._known.get(name)
        if known is not None:
            return self._keep(known)
        return self._unentered(name, None) or self._make(name, Outcome.ISSUED, new_key())

    def sign(self, request: DeviceRequest, *, again: bool = False) -> Issued:
        """A pack without a key for the device that made the request.

        ``again`` signs for a device that has a certificate with another key, after it was set up
        anew.

        Raises:
            WrongUsage: the request is for another project, or ``again`` is needed.
        """
        name = request.certificate_id
        if request.project != self._project:
            raise WrongUsage(
                f"{name} asks for project {request.project!r}, not {self._project!r}; make the "
                "request again, or choose the project with --project"
            )
        known = self._known.get(name)
        if known is not None and known.key == request.key_fingerprint:
            return self._keep(known)
        if known is not None and not again:
            raise WrongUsage(
                f"{name} has a certificate with another key since {known.entered_at:%Y-%m-%d}; "
                "if the device was set up anew, sign with --again"
            )
        if (found := self._unentered(name, known)) is not None:
            if found.entry.key == request.key_fingerprint:
                return found
            raise PkiError(f"{found.pack} is for another key; move it away")
        if known is not None:
            self._refuse_revoked(known)
            self._packs.set_aside(name, _until(known))
        return self._make(name, Outcome.ISSUED, request.public_key)

    def renew(self, name: str, *, within_days: int) -> Issued:
        """A new certificate, once the present one ends within so many days; both count till then.

        A device that keeps its key to itself keeps that key; for others a new one is made. The pack
        there was is moved aside.
        """
        known = self._known.get(name)
        if known is None:
            raise PkiError(f"{name} has no certificate of this CA; issue one first")
        self._refuse_revoked(known)
        if known.days_left > within_days:
            return Issued(name, Outcome.KEPT, known, self._packs.find(name), new=False)
        if (found := self._unentered(name, known)) is not None:
            return found
        self._packs.set_aside(name, _until(known))
        return self._make(name, Outcome.RENEWED, _kept_key(known) or new_key())

    def due(self, within_days: int) -> list[str]:
        """Devices whose certificate ends within so many days, those that ended it before too."""
        return [
            name
            for name, entry in self._known.items()
            if entry.revoked_at is None and entry.days_left <= within_days
        ]

    def _make(
        self,
        name: str,
        outcome: Outcome,
        key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey,
    ) -> Issued:
        """Where only the public key is known, the device has the other and the pack has none."""
        private = key if isinstance(key, ec.EllipticCurvePrivateKey) else None
        public = key if isinstance(key, ec.EllipticCurvePublicKey) else key.public_key()
        certificate = device_certificate(self._signer.pair, public, self._project, name, self._days)
        pack = self._packs.with_certificate(name, certificate, self._signer.intermediates, private)
        return Issued(name, outcome, Entry.of(certificate, _origin(private is not None)), pack)

    def _keep(self, known: Entry) -> Issued:
        self._refuse_revoked(known)
        if known.days_left < 0:
            raise PkiError(
                f"{known.name}: its certificate ended on {known.not_after:%Y-%m-%d}; "
                f"run: edgeferry provision device renew {known.name}"
            )
        return Issued(known.name, Outcome.KEPT, known, self._packs.find(known.name), new=False)

    def _unentered(self, name: str, known: Entry | None) -> Issued | None:
        """What a killed run left in a pack and did not enter, None where there is no such thing."""
        found = self._packs.certificate(name)
        if found is None or (known is not None and fingerprint(found) == known.fingerprint):
            return None
        pack = self._packs.find(name)
        if not issued_by(found, self._signer.pair.certificate):
            raise PkiError(f"{pack} holds a certificate of another CA; move it away")
        if subject_names(found.subject) != (self._project, name):
            raise PkiError(
                f"{pack} holds a certificate for {found.subject.rfc4514_string()!r}, not for "
                f"{name} of project {self._project}; move it away"
            )
        origin = _origin(self._packs.has_key(name))
        return Issued(name, Outcome.ENTERED, Entry.of(found, origin), pack)

    @staticmethod
    def _refuse_revoked(known: Entry) -> None:
        if known.revoked_at is not None:
            raise PkiError(
                f"{known.name} was revoked on {known.revoked_at:%Y-%m-%d}; give the device "
                "another name"
            )


class Entering:
    """Enters results into the register, many at a time; used by one thread."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._waiting: list[Entry] = []

    def note(self, issued: Issued) -> None:
        """One device is done."""
        if issued.new:
            self._waiting.append(issued.entry)
        if len(self._waiting) >= _ENTERED_TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Enter what waits."""
        self._register.enter(self._waiting)
        self._waiting.clear()


@contextmanager
def issuing(
    folder: CaFolder, ask: AskPassphrase, project: str, packs: Packs, *, days: int = DEVICE_DAYS
) -> Iterator[tuple[Issuer, Entering]]:
    """An issuer that has the folder to itself; what is noted is entered whatever ends the run.

    Raises:
        WrongUsage: another run is at work there.
        PkiError: the CA can't sign, or the register can't be used.
    """
    with folder.locked(), folder.register() as register:
        entering = Entering(register)
        known = register.newest(project)
        try:
            yield Issuer(folder.signer(ask), project, packs, known, days=days), entering
        finally:
            entering.flush()


def _origin(made_here: bool) -> str:
    return "issued" if made_here else "signed"


def _until(entry: Entry) -> str:
    return f"{entry.not_after:%Y-%m-%d}-{entry.serial[:6]}"


def _kept_key(entry: Entry) -> ec.EllipticCurvePublicKey | None:
    if entry.origin != "signed":
        return None
    key = entry.certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key
