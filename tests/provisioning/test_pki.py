"""Certificates as OpenSSL sees them, and files that are never lost."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from provisioning import files
from provisioning.errors import PkiError, WouldOverwrite
from provisioning.key_pair import KeyPair
from provisioning.pki import create_ca, issue_device, issue_server, load_ca
from tests.support.programs import needs_openssl, openssl


@pytest.fixture
def ca(tmp_path: Path) -> KeyPair:
    return create_ca(KeyPair.in_folder(tmp_path / "ca", "ca"), "Warehouse 7")


@pytest.fixture
def device(ca: KeyPair, tmp_path: Path) -> KeyPair:
    return issue_device(ca, KeyPair.in_folder(tmp_path / "device", "client"), "warehouse", "cam-12")


def loaded(pair: KeyPair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes())


@needs_openssl
def test_openssl_accepts_a_device_as_a_client_and_not_as_a_server(
    ca: KeyPair, device: KeyPair
) -> None:
    verify = ("verify", "-x509_strict", "-CAfile", ca.certificate)
    openssl(*verify, "-purpose", "sslclient", device.certificate)
    openssl(*verify, "-purpose", "sslserver", device.certificate, ok=False)


@needs_openssl
def test_openssl_accepts_a_server_under_each_of_its_names(ca: KeyPair, tmp_path: Path) -> None:
    hosts = ["cloud.local", "192.168.1.9", "::1"]
    server = issue_server(ca, KeyPair.in_folder(tmp_path, "server"), hosts)
    verify = ("verify", "-x509_strict", "-CAfile", ca.certificate, "-purpose", "sslserver")
    openssl(*verify, "-verify_hostname", "cloud.local", server.certificate)
    openssl(*verify, "-verify_ip", "192.168.1.9", server.certificate)
    openssl(*verify, "-verify_ip", "::1", server.certificate)
    openssl(*verify, "-verify_hostname", "other.local", server.certificate, ok=False)


@needs_openssl
def test_openssl_refuses_a_certificate_of_another_authority(
    device: KeyPair, tmp_path: Path
) -> None:
    other = create_ca(KeyPair.in_folder(tmp_path / "other", "ca"), "Warehouse 7")
    openssl("verify", "-CAfile", other.certificate, device.certificate, ok=False)


def test_an_issued_certificate_can_not_issue_more(
    ca: KeyPair, device: KeyPair, tmp_path: Path
) -> None:
    with pytest.raises(PkiError, match="is no CA certificate"):
        issue_device(device, KeyPair.in_folder(tmp_path, "forged"), "warehouse", "cam-13")


@needs_openssl
def test_an_authority_made_by_golioths_scripts_can_issue(tmp_path: Path) -> None:
    root = golioth_root(tmp_path)
    device = issue_device(root, KeyPair.in_folder(tmp_path, "client"), "warehouse", "cam-12")
    # Not -x509_strict: the scripts' root has no key usage.
    openssl("verify", "-CAfile", root.certificate, "-purpose", "sslclient", device.certificate)


@needs_openssl
def test_a_device_certificate_made_by_golioths_scripts_verifies_against_our_authority(
    ca: KeyPair, tmp_path: Path
) -> None:
    """The scripts' commands: no extensions at all."""
    key, request, certificate = (tmp_path / name for name in ("d.key", "d.csr", "d.crt"))
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    openssl("req", "-new", "-key", key, "-subj", "/C=BR/O=warehouse/CN=cam-12", "-out", request)
    sign = ("x509", "-req", "-in", request, "-CA", ca.certificate, "-CAkey", ca.key)
    openssl(*sign, "-CAcreateserial", "-out", certificate, "-days", "500", "-sha256")
    openssl("verify", "-CAfile", ca.certificate, "-purpose", "sslclient", certificate)


def golioth_root(folder: Path) -> KeyPair:
    pair = KeyPair.in_folder(folder, "golioth")
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", pair.key)
    make = ("req", "-x509", "-new", "-nodes", "-key", pair.key, "-sha256", "-days", "1024")
    openssl(*make, "-subj", "/C=BR/CN=Root golioth", "-out", pair.certificate)
    return pair


def test_a_device_is_named_as_golioth_looks_it_up(device: KeyPair) -> None:
    certificate = loaded(device)
    subject = {attribute.oid: attribute.value for attribute in certificate.subject}
    assert subject == {NameOID.ORGANIZATION_NAME: "warehouse", NameOID.COMMON_NAME: "cam-12"}
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_an_authority_can_only_sign_end_entities(ca: KeyPair) -> None:
    extensions = loaded(ca).extensions
    constraints = extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature


def test_pythons_own_tls_takes_what_is_issued(ca: KeyPair, tmp_path: Path) -> None:
    server = issue_server(ca, KeyPair.in_folder(tmp_path, "server"), ["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    context.load_verify_locations(ca.certificate)


def test_a_certificate_is_valid_where_the_clock_is_behind_and_ends_with_its_authority(
    tmp_path: Path,
) -> None:
    ca = create_ca(KeyPair.in_folder(tmp_path, "ca"), "Short", days=10)
    device = issue_device(ca, KeyPair.in_folder(tmp_path, "d"), "warehouse", "cam", days=9999)
    certificate = loaded(device)
    assert certificate.not_valid_before_utc < datetime.now(UTC) - timedelta(hours=23)
    assert certificate.not_valid_after_utc == loaded(ca).not_valid_after_utc


def test_keys_are_private_and_certificates_are_public(ca: KeyPair, device: KeyPair) -> None:
    for pair in (ca, device):
        assert stat.S_IMODE(pair.key.stat().st_mode) == 0o600
        assert stat.S_IMODE(pair.certificate.stat().st_mode) == 0o644


def test_nothing_is_overwritten_unless_asked_for(ca: KeyPair) -> None:
    before = ca.certificate.read_bytes(), ca.key.read_bytes()
    with pytest.raises(WouldOverwrite) as raised:
        create_ca(ca, "Another")
    assert raised.value.path == ca.certificate
    assert (ca.certificate.read_bytes(), ca.key.read_bytes()) == before
    create_ca(ca, "Another", overwrite=True)
    assert load_ca(ca).certificate.subject.rfc4514_string() == "CN=Another"


def test_a_lone_key_in_the_way_stops_the_certificate_too(ca: KeyPair, tmp_path: Path) -> None:
    device = KeyPair.in_folder(tmp_path, "client")
    device.key.write_text("precious")
    with pytest.raises(WouldOverwrite):
        issue_device(ca, device, "warehouse", "cam-12")
    assert not device.certificate.exists()
    assert device.key.read_text() == "precious"


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "ca.key.pem"
    path.mkdir()
    with pytest.raises(PkiError, match="can't be written"):
        files.write(path, b"secret", files.SECRET, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["ca.key.pem"]


def test_a_key_in_memory_is_in_no_representation(ca: KeyPair) -> None:
    assert "PrivateKey" not in repr(load_ca(ca))


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "cam\n12"])
def test_a_name_that_can_not_stand_in_a_certificate_is_refused(
    ca: KeyPair, tmp_path: Path, name: str
) -> None:
    with pytest.raises(PkiError, match="can't stand in a certificate"):
        issue_device(ca, KeyPair.in_folder(tmp_path, "d"), "warehouse", name)


@pytest.mark.parametrize("hosts", [[], ["no host"], ["a..b"], ["müller.example"], ["https://a"]])
def test_a_server_needs_real_host_names(ca: KeyPair, tmp_path: Path, hosts: list[str]) -> None:
    with pytest.raises(PkiError, match="DNS name"):
        issue_server(ca, KeyPair.in_folder(tmp_path, "s"), hosts)


def test_a_missing_authority_names_the_file_and_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(PkiError, match=r"ca\.crt\.pem can't be read: .*create a CA first"):
        load_ca(KeyPair.in_folder(tmp_path, "ca"))


def test_a_certificate_without_its_own_key_is_refused(
    ca: KeyPair, device: KeyPair, tmp_path: Path
) -> None:
    with pytest.raises(PkiError, match="is not the key of"):
        load_ca(KeyPair(ca.certificate, device.key))


@pytest.mark.parametrize("part", ["certificate", "key"])
def test_a_file_that_is_no_pem_is_named(ca: KeyPair, part: str) -> None:
    path: Path = getattr(ca, part)
    path.write_bytes(b"\x30\x82 not PEM")
    with pytest.raises(PkiError, match=f"{path.name} is no PEM"):
        load_ca(ca)


@needs_openssl
def test_a_key_under_a_passphrase_is_named(ca: KeyPair) -> None:
    locked = ca.key.with_suffix(".locked")
    openssl("ec", "-in", ca.key, "-aes256", "-passout", "pass:x", "-out", locked)
    with pytest.raises(PkiError, match="asks for a passphrase"):
        load_ca(KeyPair(ca.certificate, locked))


@needs_openssl
def test_a_key_of_another_kind_is_named(ca: KeyPair) -> None:
    other = ca.key.with_suffix(".rsa")
    openssl("genpkey", "-algorithm", "RSA", "-out", other)
    with pytest.raises(PkiError, match="is not a P-256 key"):
        load_ca(KeyPair(ca.certificate, other))


def test_an_expired_authority_issues_nothing(tmp_path: Path) -> None:
    ca = create_ca(KeyPair.in_folder(tmp_path, "ca"), "Old", days=0)
    with pytest.raises(PkiError, match="expired on"):
        issue_device(ca, KeyPair.in_folder(tmp_path, "d"), "warehouse", "cam-12")
