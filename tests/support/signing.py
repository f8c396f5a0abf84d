"""Keys and signature documents."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.signing import Envelope, encode_document, sign
from protocol.statements import KeyList, ReleaseStatement, SignedPackage, key_text
from states.model import Package


def private_key(seed: int) -> Ed25519PrivateKey:
    """The same key for the same number."""
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def text_of(seed: int) -> str:
    """How that key's public part is known."""
    return key_text(private_key(seed).public_key())


def key_list(number: int, roots: Sequence[int], releases: Sequence[int], *by: int) -> Envelope:
    keys = (tuple(map(text_of, seeds)) for seeds in (roots, releases))
    return sign(KeyList(number, *keys), map(private_key, by))


def signature_of(
    packages: Sequence[Package], number: int, *by: int, key_lists: Sequence[Envelope] = ()
) -> bytes:
    """A signature package for these packages."""
    signed = tuple(SignedPackage(p.name, p.version, p.sha256, p.size) for p in packages)
    release = sign(ReleaseStatement(number, signed), map(private_key, by))
    return encode_document(release, key_lists)
