"""The register of issued certificates: what is out there, until when, and what was revoked.

One SQLite file in the CA's folder. The packs are written first and the register follows, so a
killed run leaves at most packs that the next run enters; see :mod:`provisioning.issuing`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlite_utils import Database, Migrations

from provisioning.certificates import fingerprint, key_fingerprint, subject_names
from provisioning.errors import PkiError

_PEM = Encoding.PEM
_migrations = Migrations("provisioning")


@_migrations()
def _first_schema(db: Database) -> None:
    db.execute(
        """CREATE TABLE certificates (
            fingerprint TEXT PRIMARY KEY, serial TEXT NOT NULL, project TEXT NOT NULL,
            name TEXT NOT NULL, key TEXT NOT NULL, issuer TEXT NOT NULL, origin TEXT NOT NULL,
            not_before TEXT NOT NULL, not_after TEXT NOT NULL, entered_at TEXT NOT NULL,
            pem TEXT NOT NULL, revoked_at TEXT) STRICT"""
    )
    db.execute("CREATE INDEX certificates_by_name ON certificates (project, name)")


@dataclass(frozen=True)
class Entry:
    """One certificate. Times are UTC; ``key`` is the public key's fingerprint.

    ``origin`` is "issued" when its key was made here, "signed" when a device made it.
    """

    fingerprint: str
    serial: str
    project: str
    name: str
    key: str
    issuer: str
    origin: str
    not_before: datetime
    not_after: datetime
    entered_at: datetime
    pem: str
    revoked_at: datetime | None = None

    @classmethod
    def of(cls, certificate: x509.Certificate, origin: str) -> Entry:
        """The entry of a device's certificate."""
        project, name = subject_names(certificate.subject)
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return cls(
            fingerprint=fingerprint(certificate),
            serial=f"{certificate.serial_number:x}",
            project=project or "",
            name=name or "",
            key=key_fingerprint(key),
            issuer=certificate.issuer.rfc4514_string(),
            origin=origin,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            entered_at=datetime.now(UTC),
            pem=certificate.public_bytes(_PEM).decode("ascii"),
        )

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate itself."""
        return x509.load_pem_x509_certificate(self.pem.encode())

    def summary(self) -> dict[str, Any]:
        """What scripts and tables are shown of it."""
        whole = {**_row(self), "state": self.state, "days_left": self.days_left}
        return {name: value for name, value in whole.items() if name != "pem"}

    @property
    def days_left(self) -> int:
        """Whole days until it expires; negative when it has."""
        return (self.not_after - datetime.now(UTC)).days

    @property
    def state(self) -> str:
        """ "valid", "expired" or "revoked"."""
        if self.revoked_at is not None:
            return "revoked"
        return "valid" if self.not_after > datetime.now(UTC) else "expired"


class Register:
    """The entries of one CA folder; used by one thread. Raises PkiError for an unusable file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._errors():
            path.touch(mode=0o600)
            self._db = Database(path)
            self._db.enable_wal()
            _migrations.apply(self._db)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def enter(self, entries: Iterable[Entry]) -> None:
        """Add entries in one transaction; those that are there already stay as they are.

        Raises PkiError.
        """
        rows = [_row(entry) for entry in entries]
        if rows:
            with self._errors(), self._db.atomic():
                self._db.table("certificates").insert_all(rows, ignore=True)

    def newest(self, project: str) -> dict[str, Entry]:
        """The last certificate of each of the project's devices, by name."""
        return {entry.name: entry for entry in self.entries(project)}

    def entries(self, project: str | None = None) -> Iterator[Entry]:
        """Every certificate, or those of a project, in the order they were entered."""
        where = "" if project is None else "project = ?"
        values = () if project is None else (project,)
        rows = self._db.table("certificates").rows_where(where or None, values, order_by="rowid")
        return (_entry(row) for row in rows)

    def revoke(self, project: str, name: str) -> int:
        """Note that no certificate of the device counts any more; returns how many did.

        Raises PkiError.
        """
        with self._errors(), self._db.atomic():
            return self._db.execute(
                "UPDATE certificates SET revoked_at = ? WHERE project = ? AND name = ?"
                " AND revoked_at IS NULL",
                [_text(datetime.now(UTC)), project, name],
            ).rowcount

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.OperationalError) as error:
            raise PkiError(
                f"{self._path} can't be used: {error}; check the disk, and who may write to the "
                "folder"
            ) from error
        except sqlite3.DatabaseError as error:
            raise PkiError(
                f"{self._path} is no usable register: {error}; restore it from your backup, or "
                "move it away to begin a new one"
            ) from error


def _row(entry: Entry) -> dict[str, Any]:
    row = asdict(entry)
    return {k: _text(v) if isinstance(v, datetime) else v for k, v in row.items()}


def _entry(row: dict[str, Any]) -> Entry:
    times = ("not_before", "not_after", "entered_at", "revoked_at")
    read = {name: datetime.fromisoformat(row[name]) for name in times if row[name]}
    return Entry(**{**row, **read})


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
