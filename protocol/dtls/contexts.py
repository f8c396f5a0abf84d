"""OpenSSL contexts for the two ends: versions, cipher suites, what is verified.

Golioth: the suites are those its gateway serves. A PSK client offers PSK suites only, because a
server that sees a certificate suite prefers it, and without client certificate that authenticates
nobody.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography import x509
from OpenSSL import SSL, crypto

from protocol.credentials import (
    CertificateCredential,
    Credential,
    KeyPair,
    LoadedCertificate,
    PskCredential,
    ServerCredentials,
)
from protocol.dtls import psk
from protocol.dtls.notes import note_alerts, note_verification, notes_of

_DTLS_1_2 = 0xFEFD
# Keeps OpenSSL from adding the issuing root to what is sent, which the peer has anyway.
_MODE_NO_AUTO_CHAIN = 0x8
_MODE_RELEASE_BUFFERS = 0x10
# With encrypt-then-MAC OpenSSL ends a CBC session at the first forged record instead of dropping
# the record (openssl#24972); anyone who can send a datagram could use that.
_OP_NO_ENCRYPT_THEN_MAC = 1 << 19

_PSK_SUITES = ("PSK-AES128-GCM-SHA256", "PSK-AES128-CCM")
_CERTIFICATE_SUITES = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-CCM")
# OpenSSL counts the 8-byte tag as too weak for every level but 0; small devices offer nothing else.
_SERVER_SUITES = (
    *_CERTIFICATE_SUITES,
    "ECDHE-ECDSA-AES128-CCM8",
    *_PSK_SUITES,
    "PSK-AES128-CBC-SHA256",
    "PSK-AES128-CCM8",
    "@SECLEVEL=0",
)


def client_context(credential: Credential) -> SSL.Context:
    """A context for one kind of credential; raises CredentialError when its files can't be used."""
    context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
    _set_common(context)
    context.set_verify(SSL.VERIFY_PEER, note_verification)
    if isinstance(credential, PskCredential):
        context.set_cipher_list(":".join(_PSK_SUITES).encode())
        psk.use_psk(context, credential)
    else:
        context.set_cipher_list(":".join(_CERTIFICATE_SUITES).encode())
        _use_certificate(context, credential)
    return context


def server_context(credentials: ServerCredentials, cookie_secret: bytes) -> SSL.Context:
    """A context that serves PSK and X.509 clients together; raises CredentialError for its files.

    OpenSSL asks for a client certificate only when a certificate suite was chosen, so requiring one
    does not disturb PSK clients.
    """
    context = SSL.Context(SSL.DTLS_SERVER_METHOD)
    _set_common(context)
    context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE | _OP_NO_ENCRYPT_THEN_MAC)
    context.set_cipher_list(":".join(_SERVER_SUITES).encode())
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    if pair := credentials.load():
        _use_pair(context, pair)
    for root in credentials.client_roots():
        _trust(context, root)
    _accept_intermediates_as_roots(context)
    psk.serve_psk(context, credentials.psk_lookup)
    _set_cookies(context, cookie_secret)
    return context


def _set_common(context: SSL.Context) -> None:
    context.set_min_proto_version(_DTLS_1_2)
    context.set_max_proto_version(_DTLS_1_2)
    # No resumption: after a PSK resumption the identity is unknown, and some servers fail on it.
    context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(_MODE_NO_AUTO_CHAIN | _MODE_RELEASE_BUFFERS)
    context.set_info_callback(note_alerts)


def _use_certificate(
    context: SSL.Context, credential: CertificateCredential | LoadedCertificate
) -> None:
    _use_pair(context, credential.load())
    roots = credential.load_server_ca()
    if roots is None:
        context.set_default_verify_paths()
        return
    for root in roots:
        _trust(context, root)


def _use_pair(context: SSL.Context, pair: KeyPair) -> None:
    leaf, *intermediates = pair.chain
    context.use_certificate(leaf)
    for certificate in intermediates:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(pair.key)


def _trust(context: SSL.Context, root: x509.Certificate) -> None:
    store = context.get_cert_store()
    assert store is not None
    store.add_cert(crypto.X509.from_cryptography(root))


def _accept_intermediates_as_roots(context: SSL.Context) -> None:
    """A registered CA counts by itself, whoever signed it (Golioth: root or intermediate)."""
    store = context.get_cert_store()
    assert store is not None
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)


def _set_cookies(context: SSL.Context, secret: bytes) -> None:
    """Stateless cookies (RFC 6347, 4.2.1): an HMAC of the client's address."""

    def cookie(connection: SSL.Connection) -> bytes:
        return hmac.digest(secret, notes_of(connection).cookie_subject, hashlib.sha256)

    def is_right(connection: SSL.Connection, candidate: bytes) -> bool:
        return hmac.compare_digest(candidate, cookie(connection))

    context.set_cookie_generate_callback(cookie)
    context.set_cookie_verify_callback(is_right)
