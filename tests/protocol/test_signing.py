"""Signature documents: one form, every byte of it signed, and readable by others."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.signer._key import SSlibKey

from protocol.errors import CodecError
from protocol.signing import (
    LARGEST,
    Envelope,
    decode_document,
    encode_document,
    sign,
    signed_bytes,
)
from protocol.statements import HIGHEST, KeyList, ReleaseStatement, SignedPackage, public_key
from tests.support.signing import key_list, private_key, text_of

MODEL = SignedPackage("ai-model", "2", "a" * 64, 1000)
LABELS = SignedPackage("labels", "1", "b" * 64, 10)
STATEMENT = ReleaseStatement(7, (MODEL, LABELS))
RELEASE = sign(STATEMENT, [private_key(1)])
KEYS = key_list(1, [1], [2], 1)
DOCUMENT = encode_document(RELEASE, [KEYS])
KEY = private_key(1).public_key()
PEM = KEY.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def envelope(payload: bytes, kind: str = ReleaseStatement.TYPE) -> Envelope:
    """Any payload, rightly signed."""
    signature = private_key(1).sign(signed_bytes(kind, payload))
    return Envelope(kind, payload, ((text_of(1), signature),))


def test_a_document_says_who_signed_what() -> None:
    document = decode_document(DOCUMENT)
    assert document.release.statement == STATEMENT
    assert document.release.signed == {text_of(1)}
    (keys,) = document.key_lists
    assert keys.statement == KeyList(1, (text_of(1),), (text_of(2),))
    assert keys.signed == {text_of(1)}


def test_the_form_is_the_documented_one() -> None:
    assert STATEMENT.encode() == (
        b'{"format":1,"number":7,"packages":['
        b'{"name":"ai-model","sha256":"' + b"a" * 64 + b'","size":1000,"version":"2"},'
        b'{"name":"labels","sha256":"' + b"b" * 64 + b'","size":10,"version":"1"}]}'
    )
    shuffled = ReleaseStatement(7, (LABELS, MODEL))
    assert sign(shuffled, [private_key(1)]) == RELEASE


def test_what_is_signed_is_dsse() -> None:
    # The example of DSSE's protocol.md.
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert signed_bytes("http://example.com/HelloWorld", b"hello world") == expected


def test_another_implementation_verifies_it() -> None:
    other = OtherEnvelope.from_dict(json.loads(DOCUMENT)["release"])
    key = SSlibKey.from_crypto(KEY, keyid=text_of(1))
    assert other.verify([key], threshold=1).keys() == {text_of(1)}
    assert json.loads(other.payload)["number"] == 7


@pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("jq")), reason="openssl or jq is missing"
)
def test_the_commands_of_the_documentation_verify_it(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "signing.md").read_text()
    commands = page.split("```sh\n")[1].split("```")[0]
    odd = SignedPackage("größe 🦊", "\u2028/", "c" * 64, 0)
    release = sign(ReleaseStatement(HIGHEST, (MODEL, odd)), [private_key(1)])
    (tmp_path / "signature").write_bytes(encode_document(release))
    (tmp_path / "release.pub.pem").write_text(PEM)
    for text, status in ((commands, 0), (commands.replace(".release.pay", ".no.pay"), 1)):
        run = ["bash", "-euc", text]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == status, done.stderr
    run = ["jq", "-caS", "."]
    form = subprocess.run(run, input=release.payload, capture_output=True, check=True).stdout
    assert form == release.payload + b"\n"


def test_the_key_is_the_end_of_its_pem() -> None:
    assert PEM.splitlines()[1].endswith(text_of(1))
    assert public_key(PEM) == public_key(f" {text_of(1)}\n") == text_of(1)


EC_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
WRONG_KEYS = {
    "nothing": "",
    "no base64": "no key at all",
    "too short": b64encode(b"x" * 31).decode(),
    "another form": text_of(1)[:-2] + chr(ord(text_of(1)[-2]) + 1) + "=",
    "no PEM": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "another kind": EC_KEY.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
}


@pytest.mark.parametrize("text", WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(CodecError):
        public_key(text)


CANONICAL = STATEMENT.encode()
OTHER_FORMS = {
    "white space": CANONICAL.replace(b",", b", "),
    "another order": CANONICAL.replace(b'{"format":1,"number":7,', b'{"number":7,"format":1,'),
    "a member twice": CANONICAL.replace(b'"number":7', b'"number":9,"number":7'),
    "a member more": CANONICAL.replace(b'"number":7', b'"number":7,"urgent":true'),
    "a number with a point": CANONICAL.replace(b'"number":7', b'"number":7.0'),
    "number 0": ReleaseStatement(0, (MODEL,)).encode(),
    "a number beyond JSON's": ReleaseStatement(HIGHEST + 1, (MODEL,)).encode(),
    "a later format": CANONICAL.replace(b'"format":1', b'"format":2'),
    "a package twice": ReleaseStatement(7, (MODEL, MODEL)).encode(),
    "a digest in capitals": CANONICAL.replace(b"aaaa", b"AAAA"),
    "no JSON": b"\xff",
    "nothing": b"",
}


@pytest.mark.parametrize("payload", OTHER_FORMS.values(), ids=OTHER_FORMS)
def test_a_signed_statement_in_another_form_is_refused(payload: bytes) -> None:
    with pytest.raises(CodecError):
        decode_document(encode_document(envelope(payload)))


def test_one_kind_of_statement_is_not_taken_for_another() -> None:
    payload = KeyList(1, (text_of(1),), (text_of(2),)).encode()
    with pytest.raises(CodecError, match="payloadType"):
        decode_document(encode_document(envelope(payload, KeyList.TYPE)))
    relabelled = Envelope(KeyList.TYPE, RELEASE.payload, RELEASE.signatures)
    assert relabelled.signers() == (frozenset(), frozenset({text_of(1)}))


def test_a_key_list_without_keys_is_refused() -> None:
    empty = sign(KeyList(1, (), (text_of(1),)), [private_key(1)])
    with pytest.raises(CodecError, match="end all trust"):
        decode_document(encode_document(RELEASE, [empty]))


def test_documents_beyond_all_bounds_are_refused() -> None:
    with pytest.raises(CodecError, match="more than"):
        decode_document(b" " * (LARGEST + 1))
    with pytest.raises(ValueError, match="key lists"):
        encode_document(RELEASE, [KEYS] * 17)
    with pytest.raises(CodecError):
        decode_document(b"[" * 50_000)


@given(st.integers(0, len(RELEASE.payload) - 1), st.integers(1, 255))
def test_no_byte_can_be_changed_unnoticed(at: int, change: int) -> None:
    payload = bytearray(RELEASE.payload)
    payload[at] ^= change
    forged = Envelope(RELEASE.payload_type, bytes(payload), RELEASE.signatures)
    assert forged.signers() == (frozenset(), frozenset({text_of(1)}))


@given(st.integers(0, len(DOCUMENT) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_a_damaged_document_is_refused_or_signed_by_nobody_new(
    at: int, inserted: bytes, removed: int
) -> None:
    damaged = DOCUMENT[:at] + inserted + DOCUMENT[at + removed :]
    with suppress(CodecError):
        document = decode_document(damaged)
        if document.release.signed:
            assert document.release.statement == STATEMENT


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["release", "keys", "payload", "payloadType", "signatures", "keyid"]),
        inner,
    ),
    max_leaves=12,
).map(lambda document: json.dumps(document).encode()))  # fmt: skip
def test_anything_else_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(CodecError):
        decode_document(content)
