"""The signature package of a deployment: statements, and the signatures of who makes them.

The format is specified in ``docs/signing.md``. Both ends use this module, so it needs neither a
link nor a file system. Signatures are Ed25519 (RFC 8032) in DSSE envelopes (Dead Simple Signing
Envelope 1.0): what is signed are a statement's bytes together with their type, so that none can be
taken for another kind. Everything here is a matter of the document alone: who signed it, not
whether that one is trusted.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol.errors import CodecError
from protocol.fields import MAX_TEXT, Fields
from protocol.formats import ContentFormat, load_document, shown
from protocol.statements import (
    KeyList,
    ReleaseStatement,
    S,
    canonical,
    checked_key,
    decoded,
    key_text,
)

LARGEST = 64 << 10
"""Bytes a signature document may have."""
MOST_SIGNATURES = 16
"""Signatures an envelope may have, and key lists a document may have."""


@dataclass(frozen=True)
class Envelope:
    """A statement's bytes, their type, and (public key, signature) of each who signed them."""

    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]

    def as_json(self) -> dict[str, object]:
        """The envelope as DSSE writes it; the ``keyid`` is the public key itself."""
        signatures = [{"keyid": key, "sig": _text(sig)} for key, sig in self.signatures]
        return {
            "payload": _text(self.payload),
            "payloadType": self.payload_type,
            "signatures": signatures,
        }

    @classmethod
    def from_json(cls, document: object, where: str) -> Envelope:
        """Read an envelope; ``where`` names it in errors. Raises CodecError."""
        fields = Fields(document, where)
        signatures = []
        for index, item in enumerate(fields.array("signatures", most=MOST_SIGNATURES)):
            entry = Fields(item, f"{where}.signatures[{index}]")
            key = checked_key(entry.text("keyid", limit=MAX_TEXT))
            signatures.append((key, _bytes(entry, "sig")))
        kind = fields.text("payloadType", limit=MAX_TEXT)
        return cls(kind, _bytes(fields, "payload"), tuple(signatures))

    def signers(self) -> tuple[frozenset[str], frozenset[str]]:
        """Keys whose signature is right, and those that are named with a wrong one only."""
        right = frozenset(key for key, signature in self.signatures if self._is_by(key, signature))
        return right, frozenset(key for key, _ in self.signatures) - right

    def _is_by(self, key: str, signature: bytes) -> bool:
        try:
            public = Ed25519PublicKey.from_public_bytes(b64decode(key))
            public.verify(signature, signed_bytes(self.payload_type, self.payload))
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Signed(Generic[S]):
    """A statement, the keys that ``signed`` it, and those named with a wrong signature."""

    statement: S
    signed: frozenset[str]
    broken: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SignatureDocument:
    """What the signature package of a deployment holds; ``key_lists`` the oldest first."""

    release: Signed[ReleaseStatement]
    key_lists: tuple[Signed[KeyList], ...] = ()


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what a signature is made over."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(statement: ReleaseStatement | KeyList, keys: Iterable[Ed25519PrivateKey]) -> Envelope:
    """Sign a statement with each of the keys. The same again makes the same bytes (RFC 8032)."""
    payload = statement.encode()
    message = signed_bytes(statement.TYPE, payload)
    signatures = tuple((key_text(key.public_key()), key.sign(message)) for key in keys)
    return Envelope(statement.TYPE, payload, signatures)


def opened(kind: type[S], envelope: Envelope, where: str) -> Signed[S]:
    """The statement in an envelope and who signed it. Raises CodecError."""
    if envelope.payload_type != kind.TYPE:
        raise CodecError(
            f"{where}.payloadType: must be {kind.TYPE}, not {shown(envelope.payload_type)}"
        )
    return Signed(kind.decode(envelope.payload), *envelope.signers())


def encode_document(release: Envelope, key_lists: Sequence[Envelope] = ()) -> bytes:
    """The signature package's content. Raises ValueError where devices would not take it."""
    document = {"keys": [each.as_json() for each in key_lists], "release": release.as_json()}
    content = canonical(document)
    if len(content) > LARGEST:
        raise ValueError(f"the signature has {len(content)} bytes, devices take {LARGEST} at most")
    if len(key_lists) > MOST_SIGNATURES:
        raise ValueError(f"{len(key_lists)} key lists, devices take {MOST_SIGNATURES} at most")
    return content


def decode_document(content: bytes) -> SignatureDocument:
    """Read a signature package and check every signature in it. Raises CodecError.

    The work is bounded: 64 KiB of JSON, and 16 signatures in each of 17 envelopes.
    """
    if len(content) > LARGEST:
        raise CodecError(f"signature: {len(content)} bytes are more than the {LARGEST} accepted")
    fields = Fields(load_document(content, ContentFormat.JSON, "signature"), "signature")
    release = Envelope.from_json(fields.find("release"), "signature.release")
    key_lists = []
    for index, item in enumerate(fields.array("keys", most=MOST_SIGNATURES)):
        where = f"signature.keys[{index}]"
        key_lists.append(opened(KeyList, Envelope.from_json(item, where), where))
    return SignatureDocument(
        opened(ReleaseStatement, release, "signature.release"), tuple(key_lists)
    )


def _bytes(fields: Fields, name: str) -> bytes:
    found = decoded(fields.text(name, limit=LARGEST))
    if found is None:
        raise CodecError(f"{fields.place(name)}: must be base64")
    return found


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()
