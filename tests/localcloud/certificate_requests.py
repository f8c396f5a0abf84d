"""Certificate requests of a device, and how it sends them."""

from __future__ import annotations

from aiocoap import POST, Message
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from protocol.client import ClientLink
from protocol.formats import ContentFormat
from tests.support.cloud import request


def csr(key: ec.EllipticCurvePrivateKey, common_name: str, project: str = "warehouse") -> bytes:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, project),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


async def ask(link: ClientLink, payload: bytes) -> Message:
    octets = int(ContentFormat.OCTETS)
    return await link.request(request(POST, "v1/csr", payload, content_format=octets))
