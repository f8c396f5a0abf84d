"""Credentials that can't be used are named, with the next step."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from protocol.credentials import CertificateCredential, PskCredential, ServerCredentials
from protocol.errors import CredentialError
from tests.support.coap import Pki


def pem(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    encryption: serialization.KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    )


def test_a_pair_loads_with_its_chain(pki: Pki, tmp_path: Path) -> None:
    issued = pki.ours.device("camera-1")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(issued.certificate.read_bytes() + pki.ours.bundle.read_bytes())

    pair = CertificateCredential(chain, issued.key).load()

    assert [certificate.subject.rfc4514_string() for certificate in pair.chain] == [
        "CN=camera-1,O=warehouse",
        "CN=Root golioth",
    ]
    assert pair.key.public_key() == pair.chain[0].public_key()


def test_no_server_ca_means_the_system_trust_store(pki: Pki) -> None:
    issued = pki.ours.device("camera-1")
    assert CertificateCredential(issued.certificate, issued.key).load_server_ca() is None


def test_a_server_without_files_serves_keys_only() -> None:
    assert ServerCredentials(lambda _identity: None).load() is None


@pytest.mark.parametrize(
    ("identity", "key", "problem"),
    [
        ("", b"key", "1 to 255 bytes"),
        ("i" * 256, b"key", "1 to 255 bytes"),
        ("null\0byte@project", b"key", "without NUL"),
        ("camera@project", b"", "0 bytes"),
        ("camera@project", b"k" * 513, "513 bytes"),
    ],
)
def test_a_key_that_dtls_can_not_carry_is_refused(identity: str, key: bytes, problem: str) -> None:
    with pytest.raises(CredentialError, match=problem):
        PskCredential(identity, key)


def test_a_missing_file_is_named(pki: Pki, tmp_path: Path) -> None:
    credential = CertificateCredential(tmp_path / "absent.crt", pki.ours.device("c").key)
    with pytest.raises(CredentialError, match=r"absent\.crt: there is no such file"):
        credential.load()


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match=f"{tmp_path}: can't be read"):
        CertificateCredential(tmp_path, tmp_path).load()


@pytest.mark.parametrize("content", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAA==\n"])
def test_a_file_without_certificate_is_named(pki: Pki, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "device.crt"
    path.write_bytes(content)
    with pytest.raises(CredentialError, match=r"device\.crt: no PEM certificate"):
        CertificateCredential(path, pki.ours.device("c").key).load()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"junk", "no PEM private key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "does not belong"),
        (pem(rsa.generate_private_key(65537, 2048)), "not an elliptic-curve key"),
        (
            pem(
                ec.generate_private_key(ec.SECP256R1()),
                serialization.BestAvailableEncryption(b"pass"),
            ),
            "encrypted",
        ),
    ],
)
def test_a_key_that_does_not_fit_is_named(
    pki: Pki, tmp_path: Path, content: bytes, problem: str
) -> None:
    path = tmp_path / "device.key"
    path.write_bytes(content)
    with pytest.raises(CredentialError, match=rf"device\.key: .*{problem}"):
        CertificateCredential(pki.ours.device("c").certificate, path).load()


def test_secrets_are_not_shown(pki: Pki) -> None:
    issued = pki.ours.device("c")
    pair = CertificateCredential(issued.certificate, issued.key).load()
    shown = repr((PskCredential("camera@project", b"hush"), pair))
    assert "hush" not in shown
    assert "PrivateKey" not in shown


def test_a_server_needs_both_of_its_files(pki: Pki) -> None:
    credentials = ServerCredentials(lambda _identity: None, pki.ours.device("c").certificate)
    with pytest.raises(CredentialError, match="needed together"):
        credentials.load()
