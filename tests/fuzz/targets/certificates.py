"""Certificates as they come: renewed ones to the agent, a CA's to the local cloud."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding

from agent.credentials.renewal import UnusableCertificate, accepted_answer
from localcloud.errors import CloudError
from protocol.credentials import ServerCredentials, load_key_pair
from protocol.dtls.contexts import server_context
from protocol.errors import CredentialError
from tests.fuzz.target import Attempt, chosen, refusing
from tests.fuzz.tenants import tenants
from tests.support.pki import YEAR, Authority

_KINDS = 3


def no_key(_identity: str) -> bytes | None:
    """Nobody has a pre-shared key."""
    return None


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: a byte for who takes it, then the certificate."""
    with TemporaryDirectory() as folder, tenants() as cloud:
        authority = Authority(Path(folder), "Root golioth")
        issued = authority.device("camera-1")
        old = load_key_pair(issued.certificate, issued.key)
        path = Path(folder) / "tried.crt"

        def attempt(data: bytes) -> None:
            number, content = chosen(data, _KINDS)
            if number == 0:
                with refusing(UnusableCertificate):
                    accepted_answer(content, old.key, old)
            elif number == 1:
                with refusing(CloudError), cloud.undone():
                    certificates, project = cloud.store.certificates, cloud.mine.project_id
                    certificates.create(project, content, "root", demo=False)
                    # One project's authority must not keep all devices out.
                    server_context(
                        ServerCredentials(no_key, client_roots=certificates.trusted), b""
                    )
            else:
                path.write_bytes(content)
                with refusing(CredentialError):
                    load_key_pair(path, issued.key)

        yield attempt


def seeds() -> Iterator[bytes]:
    """What an authority issues."""
    with TemporaryDirectory() as folder:
        authority = Authority(Path(folder), "Root golioth")
        issued = authority.device("camera-1", ends_in=YEAR)
        pem = issued.certificate.read_bytes()
        yield b"\x00" + x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
        yield b"\x01" + authority.root.public_bytes(serialization.Encoding.PEM)
        yield b"\x01" + pem
        yield b"\x02" + pem + authority.root.public_bytes(Encoding.PEM)
