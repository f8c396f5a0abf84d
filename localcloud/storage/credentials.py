"""Pre-shared keys and the CA certificates that device certificates are signed by."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from localcloud.changes import Changes, Topic
from localcloud.errors import InvalidArgument, NotFound
from localcloud.identifiers import check_object_id, object_id, timestamp
from localcloud.model import Certificate, CertificateContent, Credential
from localcloud.storage.database import Conditions, Database, Paging, Row, unique
from protocol.credentials import MAX_IDENTITY_BYTES
from protocol.x509_reading import whole_certificate

MAX_KEY_BYTES = 64


@dataclass(frozen=True)
class PskOwner:
    """The device a PSK identity speaks for."""

    project_id: str
    device_id: str


class Credentials:
    """Pre-shared keys of devices."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._db = database
        self._changes = changes

    def create(
        self, project_id: str, device_id: str, identity: str, pre_shared_key: str
    ) -> Credential:
        """A new key. Golioth: ``@<project id>`` is appended to every identity."""
        full = identity if identity.endswith(f"@{project_id}") else f"{identity}@{project_id}"
        _check_psk(identity, full, pre_shared_key)
        credential = Credential(
            id=object_id(), identity=full, pre_shared_key=pre_shared_key, created_at=timestamp()
        )
        with unique(f"credential identity already in use: {full}"):
            self._db.execute(
                "INSERT INTO credentials VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(credential.id, project_id, device_id, credential.type),
                *(full, pre_shared_key, credential.created_at),
            )
        return credential

    def page(self, project_id: str, device_id: str, paging: Paging) -> tuple[list[Credential], int]:
        """The device's keys in the order they were made."""
        conditions = Conditions(project_id=project_id, device_id=device_id)
        rows, total = self._db.page("credentials", conditions, "rowid", paging)
        return [Credential.model_validate(row) for row in rows], total

    def delete(self, project_id: str, device_id: str, credential_id: str) -> None:
        """Remove a key; whoever is connected with it is disconnected."""
        touched = self._db.execute(
            "DELETE FROM credentials WHERE project_id = ? AND device_id = ? AND id = ?",
            *(project_id, device_id, check_object_id(credential_id)),
        )
        if not touched:
            raise NotFound(f"credential not found: {credential_id}")
        self._changes.publish(Topic.ACCESS, device_id)

    def key_of(self, identity: str) -> bytes | None:
        """The key of an identity, unless it is unknown or its device is disabled.

        Golioth: the key is the text's own bytes; hexadecimal text is not decoded.
        """
        row = self._db.row(
            "SELECT pre_shared_key FROM credentials JOIN devices ON devices.id = device_id"
            " WHERE identity = ? AND enabled",
            identity,
        )
        return row["pre_shared_key"].encode() if row else None

    def owner_of(self, identity: str) -> PskOwner | None:
        """The device an identity speaks for, if it still does."""
        row = self._db.row(
            "SELECT project_id, device_id FROM credentials WHERE identity = ?", identity
        )
        return PskOwner(row["project_id"], row["device_id"]) if row else None


class Certificates:
    """CA certificates of projects."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._db = database
        self._changes = changes

    def create(self, project_id: str, pem: bytes, cert_type: str, *, demo: bool) -> Certificate:
        """Accept device certificates signed by this one."""
        if cert_type not in {"root", "intermediate"}:
            raise InvalidArgument(f"certType {cert_type!r}: use 'root' or 'intermediate'")
        certificate = _load_ca(pem)
        certificate_id = object_id()
        with unique("certificate already exists in this project"):
            self._db.insert(
                "certificates",
                {
                    "id": certificate_id,
                    "project_id": project_id,
                    "type": cert_type,
                    "demo": demo,
                    "pem": pem.decode("ascii", errors="replace"),
                    "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(),
                    "created_at": timestamp(),
                },
            )
        self._changes.publish(Topic.ROOTS, project_id)
        return self.get(project_id, certificate_id)

    def get(self, project_id: str, certificate_id: str) -> Certificate:
        """One CA certificate, or NotFound."""
        row = self._db.one(
            f"certificate not found: {certificate_id}",
            "SELECT * FROM certificates WHERE project_id = ? AND id = ?",
            *(project_id, check_object_id(certificate_id)),
        )
        return _record(row)

    def page(self, project_id: str, paging: Paging) -> tuple[list[Certificate], int]:
        """The project's CA certificates in the order they were added."""
        rows, total = self._db.page(
            "certificates", Conditions(project_id=project_id), "rowid", paging
        )
        return [_record(row) for row in rows], total

    def delete(self, project_id: str, certificate_id: str) -> None:
        """Trust it no longer; devices connected through the project's CAs are disconnected."""
        self.get(project_id, certificate_id)
        self._db.execute("DELETE FROM certificates WHERE id = ?", certificate_id)
        self._changes.publish(Topic.ROOTS, project_id)

    def trusted(self, project_id: str | None = None) -> list[x509.Certificate]:
        """CA certificates of one project, or of all."""
        conditions = Conditions()
        conditions.add_given("project_id = ?", project_id)
        rows = self._db.rows(
            f"SELECT pem FROM certificates WHERE {conditions.where}",  # noqa: S608 - text from code
            *conditions.values,
        )
        return [x509.load_pem_x509_certificate(row["pem"].encode()) for row in rows]


def _check_psk(identity: str, full: str, pre_shared_key: str) -> None:
    if not identity or "\0" in identity or len(full.encode()) > MAX_IDENTITY_BYTES:
        raise InvalidArgument(
            f"identity: 1 to {MAX_IDENTITY_BYTES} bytes with '@<project id>', without NUL"
        )
    # A device on mbedTLS takes 32 bytes at most; the server itself has no documented limit.
    if not 1 <= len(pre_shared_key.encode()) <= MAX_KEY_BYTES:
        raise InvalidArgument(f"preSharedKey: 1 to {MAX_KEY_BYTES} bytes of text")


def _load_ca(pem: bytes) -> x509.Certificate:
    try:
        certificate = whole_certificate(x509.load_pem_x509_certificate, pem)
    except ValueError as error:
        raise InvalidArgument(f"certFile is no PEM certificate: {error}") from error
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise InvalidArgument(
            "certFile is no CA certificate: it has no basic constraints"
        ) from error
    if not constraints.value.ca:
        raise InvalidArgument(
            "certFile is no CA certificate;"
            " upload the root or intermediate that signs device certificates"
        )
    return certificate


def _record(row: Row) -> Certificate:
    certificate = x509.load_pem_x509_certificate(row["pem"].encode())
    return Certificate(
        id=row["id"],
        cert_type=row["type"],
        demo=bool(row["demo"]),
        project_id=row["project_id"],
        created_at=row["created_at"],
        certificate_content=CertificateContent(
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            not_before=f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
            not_after=f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
            serial_number=str(certificate.serial_number),
            public_key_algorithm=type(certificate.public_key()).__name__,
            signature_algorithm=certificate.signature_algorithm_oid._name,
            version=certificate.version.value + 1,
        ),
    )
