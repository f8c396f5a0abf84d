"""Certificate requests (PKCS#10, RFC 2986): the device's key never leaves the device.

The device makes its key and a request that names it; the operator's authority signs the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from provisioning import files
from provisioning.certificates import (
    device_subject,
    key_fingerprint,
    new_key,
    subject_names,
)
from provisioning.errors import PkiError, WouldOverwrite
from provisioning.key_pair import CURVE, key_pem, load_key


@dataclass(frozen=True)
class DeviceRequest:
    """A request whose signature proves that its maker has the key."""

    project: str
    certificate_id: str
    public_key: ec.EllipticCurvePublicKey

    @property
    def key_fingerprint(self) -> str:
        """SHA-256 of the public key, to compare with what the device showed."""
        return key_fingerprint(self.public_key)


def make_request(key_file: Path, request_file: Path, project: str, name: str) -> DeviceRequest:
    """Write a request for the key in ``key_file``, which is made, mode 0600, unless it is there.

    A request made before for the same key and names is left as it is.

    Raises:
        WouldOverwrite: ``request_file`` asks for something else.
        PkiError: a name is unfit, or a file can't be read or written.
    """
    subject = device_subject(project, name)
    if not key_file.exists():
        files.write(key_file, key_pem(new_key()), files.SECRET)
    key = load_key(key_file, "move it away to have another made")
    wanted = DeviceRequest(project, name, key.public_key())
    if request_file.exists():
        if read_request(request_file) != wanted:
            raise WouldOverwrite(request_file)
        return wanted
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    content = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    files.write(request_file, content, files.PUBLIC)
    return wanted


def read_request(path: Path) -> DeviceRequest:
    """Read and verify a request in PEM or DER, whoever made it.

    Raises:
        PkiError: the file is missing or no request, its signature is wrong, its key is not P-256,
            or it does not name a project (O) and a device (CN).
    """
    content = files.read(path, "copy the request from the device again")
    try:
        form = x509.load_pem_x509_csr if b"-----BEGIN" in content else x509.load_der_x509_csr
        request = form(content)
        valid = request.is_signature_valid
        key = request.public_key()
        project, name = subject_names(request.subject)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise PkiError(
            f"{path} is no certificate request; make one on the device with: "
            "edgeferry provision device request"
        ) from error
    if not valid:
        raise PkiError(f"{path}: the request is not signed by the key it names; make it again")
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != CURVE:
        raise PkiError(f"{path}: not a P-256 key, the only kind Golioth's devices use")
    if not project or not name:
        raise PkiError(
            f"{path}: its subject {request.subject.rfc4514_string()!r} must have one O, the "
            "project's id, and one CN, the device's name"
        )
    return DeviceRequest(project, name, key)
