from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.errors import CodecError
from protocol.fields import MAX_INTEGER
from protocol.formats import ContentFormat
from protocol.manifest import (
    MAX_COMPONENTS,
    Component,
    Manifest,
    decode_manifest,
    encode_manifest,
)

JSON, CBOR = ContentFormat.JSON, ContentFormat.CBOR
SHA256 = "feb982c3fbec352441caddaa85bd5c69ef5feadb5dfc1f57171e88e070771241"
SUIT = "25e73431ac4a1a09392d51c8af14b611defdd877e8021803af4414ad470ad6fb"

EXAMPLE = Manifest(
    sequence=1631741642,
    hash=SUIT,
    components=(Component("main", "1.0.0", SHA256, 0x83660, "/.u/c/main@1.0.0", "mcuboot"),),
)
# The example of Golioth's OTA documentation, in CBOR with definite lengths.
EXAMPLE_BYTES = b"".join(
    (
        bytes.fromhex("a3011a614266ca027840"),
        SUIT.encode(),
        bytes.fromhex("0381a60164"),
        b"main",
        bytes.fromhex("0265"),
        b"1.0.0",
        bytes.fromhex("037840"),
        SHA256.encode(),
        bytes.fromhex("041a000836600570"),
        b"/.u/c/main@1.0.0",
        bytes.fromhex("0667"),
        b"mcuboot",
    )
)

printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)
components = st.builds(
    Component,
    package=printable.filter(lambda text: len(text) <= 255),
    version=printable.filter(lambda text: len(text) <= 255),
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    size=st.integers(0, MAX_INTEGER),
    uri=printable.filter(lambda text: len(text) <= 1024),
    type=st.none() | printable,
)
manifests = st.builds(
    Manifest,
    sequence=st.integers(0, MAX_INTEGER),
    components=st.lists(components, max_size=5, unique_by=lambda c: c.package).map(tuple),
    hash=st.none() | printable,
)


def document(**changes: Any) -> dict[int, Any]:
    component = {1: "main", 2: "1.0.0", 3: SHA256, 4: 1, 5: ".u/c/main@1.0.0"}
    for key, value in changes.items():
        component[int(key.removeprefix("key"))] = value
    return {1: 7, 3: [component]}


def test_the_documented_example_is_encoded_byte_for_byte() -> None:
    assert len(EXAMPLE_BYTES) == 190
    assert encode_manifest(EXAMPLE, CBOR) == EXAMPLE_BYTES
    assert decode_manifest(EXAMPLE_BYTES, CBOR) == EXAMPLE


@given(manifests, st.sampled_from([JSON, CBOR]))
def test_a_manifest_survives_the_wire(manifest: Manifest, content_format: ContentFormat) -> None:
    assert decode_manifest(encode_manifest(manifest, content_format), content_format) == manifest


@given(manifests)
def test_indefinite_lengths_mean_the_same(manifest: Manifest) -> None:
    plain = cbor2.loads(encode_manifest(manifest, CBOR))
    assert decode_manifest(indefinite(plain), CBOR) == manifest


def indefinite(value: Any) -> bytes:
    """Encode as the device SDK does, ``BF … FF`` and ``9F … FF``."""
    if isinstance(value, dict):
        return b"\xbf" + b"".join(indefinite(x) for pair in value.items() for x in pair) + b"\xff"
    if isinstance(value, list):
        return b"\x9f" + b"".join(map(indefinite, value)) + b"\xff"
    return cbor2.dumps(value)


@given(st.binary() | st.binary(max_size=40).map(lambda b: b"\xa2\x01\x07\x03\x81\xa5" + b))
@example(b"\xa1\xf9\x7e\x00\x00")  # NaN as a key
@example(b"\xd8\x1c\xa1\x03\x81\xd8\x1d\x00")  # a cycle: the component is the manifest
@example(b"\x81" * 5000)
@example(b"\x9b" + b"\xff" * 8)
@example(b"\x7b" + b"\x7f" * 8)
@example(b"\xa1\x01\xc2\x59\x09\xc4" + b"\x99" * 2500)  # a sequence number of 6000 digits
@example(b"\xa1\x01" + b"\x81" * 390 + b"\x00")  # and one of 390 nested lists
@example(b"\xd8\x23\x61(")  # a regular expression that does not compile
@example(b"[" * 100_000)
@example(b'{"sequenceNumber":' + b"9" * 5000 + b"}")
@example(b'{"sequenceNumber":1e999}')
def test_arbitrary_bytes_raise_nothing_but_a_codec_error(payload: bytes) -> None:
    for content_format in (JSON, CBOR, 42):
        with suppress(CodecError):
            decode_manifest(payload, content_format)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.integers(0, 7) | st.text(max_size=3), inner)
        ),
    )
)
def test_arbitrary_documents_raise_nothing_but_a_codec_error(value: object) -> None:
    for payload in (
        cbor2.dumps(value),
        cbor2.dumps({1: 1, 3: value}),
        cbor2.dumps({1: 1, 3: [value]}),
    ):
        with suppress(CodecError):
            decode_manifest(payload, CBOR)


@pytest.mark.parametrize(
    ("payload", "content_format"),
    [
        (b"\xa0", CBOR),
        (b"\xbf\xff", CBOR),
        (b"\x62OK", CBOR),
        (b'"OK"', JSON),
        (cbor2.dumps({3: None}), CBOR),
        (cbor2.dumps({3: []}), CBOR),
        (b"{}", JSON),
        (b'{"components":null}', JSON),
    ],
)
def test_nothing_deployed_is_an_empty_manifest(payload: bytes, content_format: int) -> None:
    assert decode_manifest(payload, content_format) == Manifest(0, ())


def test_the_empty_manifest_is_one_byte() -> None:
    assert encode_manifest(Manifest(0, ()), CBOR) == b"\xa0"


def test_a_deployment_without_components_keeps_its_sequence() -> None:
    assert decode_manifest(cbor2.dumps({1: 9}), CBOR) == Manifest(9, ())


def test_unknown_keys_are_ignored() -> None:
    plain = document(key9={"new": [1]}, key6=b"odd")
    plain |= {2: 12, 77: cbor2.CBORTag(9999, "future")}
    assert decode_manifest(cbor2.dumps(plain), CBOR) == Manifest(
        7, (Component("main", "1.0.0", SHA256, 1, ".u/c/main@1.0.0"),)
    )


def test_json_has_named_keys() -> None:
    assert json.loads(encode_manifest(EXAMPLE, JSON)) == {
        "sequenceNumber": 1631741642,
        "hash": SUIT,
        "components": [
            {
                "package": "main",
                "version": "1.0.0",
                "hash": SHA256,
                "size": 538208,
                "uri": "/.u/c/main@1.0.0",
                "type": "mcuboot",
            }
        ],
    }


def test_a_sequence_number_keeps_all_its_bits() -> None:
    nanoseconds = 1634238628474218987
    assert decode_manifest(cbor2.dumps({1: nanoseconds}), CBOR).sequence == nanoseconds


@pytest.mark.parametrize(
    ("plain", "place"),
    [
        ([], "manifest: must be a map"),
        ({1: 1, 3: {}}, "manifest.components (key 3): must be an array"),
        ({1: 1, 3: [5]}, "manifest.components[0]: must be a map"),
        ({3: document()[3]}, "manifest.sequenceNumber (key 1): is missing"),
        (document() | {1: "7"}, "manifest.sequenceNumber (key 1): must be an integer"),
        (document() | {1: True}, "manifest.sequenceNumber (key 1): must be an integer"),
        (document() | {1: 2**63}, "manifest.sequenceNumber (key 1): must be an integer"),
        (document(key1=None), "manifest.components[0].package (key 1): is missing"),
        (document(key1=""), "manifest.components[0].package (key 1): must have 1 to 255"),
        (document(key1="a\nb"), "manifest.components[0].package (key 1): must be printable"),
        (document(key2=2), "manifest.components[0].version (key 2): must be text"),
        (document(key3=bytes(32)), "manifest.components[0].hash (key 3): must be text"),
        (document(key3=SHA256.upper()), "manifest.components[0].hash (key 3): must be a SHA-256"),
        (document(key3=SHA256 + "\n"), "manifest.components[0].hash (key 3): must be"),
        (document(key4=-1), "manifest.components[0].size (key 4): must be an integer from 0"),
        (document(key4=1.0), "manifest.components[0].size (key 4): must be an integer from 0"),
        (document(key5="x" * 1025), "manifest.components[0].uri (key 5): must have 1 to 1024"),
        ({1: 1, 3: document()[3] * 2}, "manifest.components[1].package: 'main' is listed twice"),
        ({1: 1, 3: [{}] * (MAX_COMPONENTS + 1)}, "manifest.components (key 3): 65 are more than"),
    ],
)
def test_what_must_be_there_is_checked_and_named(plain: object, place: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode_manifest(cbor2.dumps(plain), CBOR)
    assert str(caught.value).startswith(place)


@pytest.mark.parametrize("key", [1, 2, 3, 4, 5])
def test_each_component_field_from_1_to_5_is_required(key: int) -> None:
    plain = document()
    del plain[3][0][key]
    with pytest.raises(CodecError, match=rf"components\[0\].*\(key {key}\): is missing"):
        decode_manifest(cbor2.dumps(plain), CBOR)


def test_half_a_surrogate_pair_is_refused() -> None:
    payload = encode_manifest(EXAMPLE, JSON).replace(b'"main"', b'"\\ud800"')
    with pytest.raises(CodecError, match="package"):
        decode_manifest(payload, JSON)


def test_a_document_beyond_the_limit_is_refused_unread() -> None:
    with pytest.raises(CodecError, match="more than the 262144 accepted"):
        decode_manifest(b"\x00" * 262_145, CBOR)


def test_bytes_after_the_document_are_refused() -> None:
    with pytest.raises(CodecError, match="after the end"):
        decode_manifest(EXAMPLE_BYTES + b"\x00", CBOR)


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(CodecError, match="content format 42 is not supported"):
        decode_manifest(EXAMPLE_BYTES, 42)
    with pytest.raises(CodecError, match="content format 42 is not supported"):
        encode_manifest(EXAMPLE, 42)
