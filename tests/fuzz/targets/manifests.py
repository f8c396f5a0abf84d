"""Manifests: decoded, made a deployment, and encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agent.cloud.manifests import deployment_of
from protocol.errors import CodecError
from protocol.formats import ContentFormat
from protocol.manifest import Component, Manifest, decode_manifest, encode_manifest
from tests.fuzz.target import Attempt, chosen, refusing, require

FORMATS = (ContentFormat.CBOR, ContentFormat.JSON)
HANDLED = frozenset({"ai-model", "labels"})


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: a byte for the format, then the manifest."""
    yield _attempt


def seeds() -> Iterator[bytes]:
    """Manifests as the cloud encodes them."""
    components = tuple(
        Component(package, "1.0.0", digit * 64, 419_192, f"/.u/c/{package}@1.0.0", kind)
        for package, digit, kind in (
            ("ai-model", "a", "binary"),
            ("labels", "b", None),
            ("signature", "c", None),
        )
    )
    patch = Component("ai-model-delta", "c" * 8 + "a" * 8, "d" * 64, 900, "/.u/c/x@1")
    for number, content_format in enumerate(FORMATS):
        for listed in ((), components[:1], (*components, patch)):
            manifest = Manifest(1_631_741_642, listed, "0123abcd")
            yield bytes([number]) + encode_manifest(manifest, content_format)
        yield bytes([number]) + encode_manifest(Manifest(0, ()), content_format)
    yield b"\x00\x62OK"
    yield b"\x00" + bytes.fromhex("bf011a614266ca039fffff")


def _attempt(data: bytes) -> None:
    number, payload = chosen(data, len(FORMATS))
    with refusing(CodecError):
        manifest = decode_manifest(payload, FORMATS[number])
        for content_format in FORMATS:
            again = decode_manifest(encode_manifest(manifest, content_format), content_format)
            require(again == manifest, "a manifest is another one once encoded")
        deployment = deployment_of(manifest, HANDLED, "signature")
        require(deployment is None or bool(deployment.release.packages), "a deployment of nothing")
