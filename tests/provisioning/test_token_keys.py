"""A device's key that never leaves a PKCS#11 token: its request is made there and signed here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.bindings._rust import _openssl

from tests.support.programs import openssl
from tests.support.provisioning import Operator

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
TOOLS = ("softhsm2-util", "pkcs11-tool", "openssl")
lib = _openssl.lib
URI = "pkcs11:token=edge;object=device;type=private;pin-value=1234"


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of SoftHSM with a P-256 key."""
    if not MODULE.exists() or not all(map(shutil.which, TOOLS)):
        pytest.skip("apt-get install softhsm2 opensc libengine-pkcs11-openssl")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    label = ("--label", "edge", "--pin", "1234", "--so-pin", "5678")
    run("softhsm2-util", "--init-token", "--free", *label)
    access = ("--module", str(MODULE), "--login", "--pin", "1234", "--token-label", "edge")
    made = ("--key-type", "EC:prime256v1", "--label", "device", "--id", "01")
    run("pkcs11-tool", *access, "--keypairgen", *made)


def run(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.usefixtures("token")
def test_a_request_made_in_a_token_is_signed(operator: Operator, tmp_path: Path) -> None:
    csr = tmp_path / "camera-9.csr.pem"
    engine = ("-engine", "pkcs11", "-keyform", "engine", "-key", URI)
    try:
        run("openssl", "req", "-new", *engine, "-subj", "/O=warehouse/CN=camera-9", "-out", csr)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"openssl has no PKCS#11 engine: {error.stderr[:200]}")
    operator.done("device", "sign", csr)
    pack = operator.packs / "camera-9"
    openssl("verify", "-CAfile", operator.ca / "ca.crt.pem", pack / "edgeferry.crt")
    signed = openssl("x509", "-in", pack / "edgeferry.crt", "-noout", "-pubkey")
    assert signed == openssl("req", "-in", csr, "-noout", "-pubkey")
    assert not (pack / "edgeferry.key").exists()


def test_the_dtls_library_has_no_way_to_a_key_in_a_token() -> None:
    """docs/provisioning.md says so; once this fails, such keys may have become possible."""
    assert not lib.Cryptography_HAS_ENGINE
    assert not [name for name in dir(lib) if name.startswith(("OSSL_PROVIDER", "OSSL_STORE"))]
