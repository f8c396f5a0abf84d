"""The parts of OpenSSL that pyOpenSSL does not wrap, taken from cryptography's own bindings.

pyOpenSSL has no PSK interface, but cryptography carries the two functions for those who patch it in
themselves (pyca/cryptography#4084). Should a release drop them, the import says so.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import cryptography
from OpenSSL import SSL
from OpenSSL._util import ffi, lib

_NEEDED = (
    "SSL_CTX_set_psk_client_callback",
    "SSL_CTX_set_psk_server_callback",
    "DTLSv1_listen",
    "BIO_get_mem_data",
    "X509_VERIFY_PARAM_set_time",
)
_HOST_FLAG_NO_PARTIAL_WILDCARDS = 0x4


def missing_symbols(library: Any) -> list[str]:
    """Names this package needs that ``library`` lacks."""
    missing = [name for name in _NEEDED if not hasattr(library, name)]
    if not getattr(library, "Cryptography_HAS_PSK", False):
        missing.insert(0, "Cryptography_HAS_PSK")
    return missing


def require_symbols(library: Any) -> None:
    """Raise ImportError naming what the installed cryptography package lacks, if anything."""
    if missing := missing_symbols(library):
        raise ImportError(
            f"cryptography {cryptography.__version__} was built without what DTLS needs"
            f" ({', '.join(missing)}); install the wheel from PyPI in the version Edgeferry pins"
        )


require_symbols(lib)

_unused = ffi.new("char **")


def clear_errors() -> None:
    """Empty this thread's OpenSSL error queue.

    Records that are dropped silently leave entries behind, which the next call, even on another
    connection, would take for its own failure.
    """
    lib.ERR_clear_error()


def waiting_output(connection: SSL.Connection) -> int:
    """How many bytes OpenSSL has written to the memory BIO; asking by a read would cost more."""
    return int(lib.BIO_get_mem_data(connection._from_ssl, _unused))


def has_input(connection: SSL.Connection) -> bool:
    """Whether OpenSSL has not read all yet of what was written to the memory BIO."""
    return bool(lib.BIO_get_mem_data(connection._into_ssl, _unused))


def require_host(connection: SSL.Connection, host: str) -> None:
    """Make verification fail unless the peer's certificate is for ``host`` (name or IP address)."""
    parameters = lib.SSL_get0_param(connection._ssl)
    lib.X509_VERIFY_PARAM_set_hostflags(parameters, _HOST_FLAG_NO_PARTIAL_WILDCARDS)
    try:
        packed = ipaddress.ip_address(host).packed
    except ValueError:
        name = host.encode("idna").rstrip(b".")
        accepted = lib.X509_VERIFY_PARAM_set1_host(parameters, name, len(name))
        connection.set_tlsext_host_name(name)
    else:
        accepted = lib.X509_VERIFY_PARAM_set1_ip(parameters, packed, len(packed))
    if not accepted:
        raise ValueError(f"{host!r} can't be checked against a certificate")


def judge_at(connection: SSL.Connection, timestamp: int) -> None:
    """Make certificates count as valid or not at this time (seconds since 1970), not now."""
    lib.X509_VERIFY_PARAM_set_time(lib.SSL_get0_param(connection._ssl), timestamp)


def verify_result(connection: SSL.Connection) -> int:
    """OpenSSL's X509_V_* result for the peer's certificate, 0 if it is fine or there is none."""
    return int(lib.SSL_get_verify_result(connection._ssl))


def verify_result_text(code: int) -> str:
    """OpenSSL's words for an X509_V_* code."""
    text: bytes = ffi.string(lib.X509_verify_cert_error_string(code))
    return text.decode()
