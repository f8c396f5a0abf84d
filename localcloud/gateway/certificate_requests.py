"""``v1/csr``: new certificates for devices that ask for one, as a project's PKI provider would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiocoap import Code, Message
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from localcloud.gateway.answers import Refusal
from localcloud.gateway.exchange import Exchange
from localcloud.server_certificate import load_or_make_ca
from localcloud.storage.store import Store
from protocol.formats import ContentFormat
from protocol.x509_reading import only_attribute, whole_request

_BACKDATE = timedelta(days=1)


class OwnAuthority:
    """Signs devices' certificates with a CA of its own in ``folder``, for ``days`` days.

    A project trusts that CA from the first certificate on.
    """

    def __init__(self, folder: Path, store: Store, days: float) -> None:
        self._folder = folder
        self._store = store
        self._days = days

    def sign(self, request: x509.CertificateSigningRequest, project_id: str) -> x509.Certificate:
        """A certificate for the key of a request whose subject was checked."""
        ca = load_or_make_ca(self._folder, "device-ca", "Edgeferry local cloud device CA")
        self._trust(ca.chain[0], project_id)
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(ca.chain[0].subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATE)
            .not_valid_after(now + timedelta(days=self._days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        return builder.sign(ca.key, hashes.SHA256())

    def _trust(self, ca: x509.Certificate, project_id: str) -> None:
        if ca not in self._store.certificates.trusted(project_id):
            pem = ca.public_bytes(Encoding.PEM)
            self._store.certificates.create(project_id, pem, "root", demo=False)


async def certificate_request(exchange: Exchange) -> None:
    """Golioth: POST of a DER PKCS#10 request, answered with the DER certificate."""
    exchange.allow(Code.POST)
    if exchange.authority is None:
        raise Refusal(Code.NOT_FOUND, "this project has no PKI provider")
    request = _decoded(exchange.request.payload)
    session = exchange.session
    certificate_id = only_attribute(request.subject, NameOID.COMMON_NAME)
    device = exchange.store.devices.get(session.project_id, session.device_id)
    if only_attribute(request.subject, NameOID.ORGANIZATION_NAME) != session.project_id:
        raise Refusal(Code.FORBIDDEN, f"O must be this project, {session.project_id}")
    if certificate_id != (device.certificate_id or device.name):
        raise Refusal(Code.FORBIDDEN, "CN must be the certificate id of the device that asks")
    certificate = exchange.authority.sign(request, session.project_id)
    answer = Message(code=Code.CHANGED, payload=certificate.public_bytes(Encoding.DER))
    answer.opt.content_format = int(ContentFormat.OCTETS)
    exchange.answer(answer)


def _decoded(payload: bytes) -> x509.CertificateSigningRequest:
    try:
        request = whole_request(payload)
    except ValueError as error:
        raise Refusal(Code.BAD_REQUEST, f"no DER PKCS#10 request: {error}") from error
    if not isinstance(request.public_key(), ec.EllipticCurvePublicKey):
        raise Refusal(Code.BAD_REQUEST, "the request must be signed by its own EC key")
    return request
