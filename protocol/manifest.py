"""The OTA manifest: what the operator wants this device to hold.

Golioth: GET or observe ``.u/desired``. JSON has named keys, CBOR integer ones; hashes are text in
both. An empty map means that nothing is deployed. The example of Golioth's documentation::

    >>> decode_manifest(bytes.fromhex("a1011a614266ca"), ContentFormat.CBOR)
    Manifest(sequence=1631741642, components=(), hash=None)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from protocol.errors import CodecError
from protocol.fields import MAX_INTEGER, MAX_TEXT, Fields, Key
from protocol.formats import (
    ContentFormat,
    dump_document,
    is_acknowledgement,
    is_encodable,
    load_document,
    shown,
)

# A deployment lists every package of a device; more than this is no manifest for a small machine.
MAX_COMPONENTS = 64
MAX_URI = 1024

_SHA256 = re.compile(r"[0-9a-f]{64}")

_SEQUENCE = ("sequenceNumber", 1)
_MANIFEST_HASH = ("hash", 2)
_COMPONENTS = ("components", 3)
_PACKAGE = ("package", 1)
_VERSION = ("version", 2)
_COMPONENT_HASH = ("hash", 3)
_SIZE = ("size", 4)
_URI = ("uri", 5)
_TYPE = ("type", 6)


@dataclass(frozen=True)
class Component:
    """One artifact of a deployment.

    ``sha256`` is 64 lower-case hexadecimal digits of the artifact's bytes, ``size`` is in bytes,
    ``uri`` is as the server gave it (a leading slash is usual), relative to the server.
    """

    package: str
    version: str
    sha256: str
    size: int
    uri: str
    type: str | None = None


@dataclass(frozen=True)
class Manifest:
    """A deployment as the device sees it.

    ``sequence`` only grows from one deployment to the next (Golioth: its unit is not fixed).
    """

    sequence: int
    components: tuple[Component, ...]
    hash: str | None = None


def decode_manifest(payload: bytes, content_format: int) -> Manifest:
    """Decode a manifest; an empty map (or the bare text OK) is ``Manifest(0, ())``.

    Raises CodecError naming the key path: for bytes that are no such document, for a missing or
    ill-typed component field 1–5, for a package named twice and for more than 64 components.
    """
    if is_acknowledgement(payload):
        return Manifest(0, ())
    fields = Fields(load_document(payload, content_format, "manifest"), "manifest")
    components = _components(fields)
    return Manifest(
        # Golioth: sequence and components come together or not at all.
        sequence=fields.integer(*_SEQUENCE, maximum=MAX_INTEGER, default=None if components else 0),
        components=components,
        hash=_text_or_none(fields.find(*_MANIFEST_HASH)),
    )


def encode_manifest(manifest: Manifest, content_format: int) -> bytes:
    """Encode a manifest, CBOR with definite lengths; ``Manifest(0, ())`` becomes the empty map."""
    numbered = content_format == ContentFormat.CBOR

    def named(*pairs: tuple[tuple[str, int], object]) -> dict[Key, object]:
        return {
            (number if numbered else name): value
            for (name, number), value in pairs
            if value is not None
        }

    if manifest == Manifest(0, ()):
        return dump_document({}, content_format, "manifest")
    components = [
        named(
            (_PACKAGE, c.package),
            (_VERSION, c.version),
            (_COMPONENT_HASH, c.sha256),
            (_SIZE, c.size),
            (_URI, c.uri),
            (_TYPE, c.type),
        )
        for c in manifest.components
    ]
    document = named(
        (_SEQUENCE, manifest.sequence), (_MANIFEST_HASH, manifest.hash), (_COMPONENTS, components)
    )
    return dump_document(document, content_format, "manifest")


def is_sha256(text: str) -> bool:
    """Whether the text is a SHA-256 as manifests have it: 64 lower-case hexadecimal digits."""
    return _SHA256.fullmatch(text) is not None


def _components(fields: Fields) -> tuple[Component, ...]:
    listed = fields.array(*_COMPONENTS, most=MAX_COMPONENTS, default=())
    components = tuple(
        _component(Fields(item, f"manifest.components[{index}]"))
        for index, item in enumerate(listed)
    )
    _refuse_duplicates(components)
    return components


def _component(fields: Fields) -> Component:
    sha256 = fields.text(*_COMPONENT_HASH, limit=MAX_TEXT)
    if not is_sha256(sha256):
        raise CodecError(
            f"{fields.place(*_COMPONENT_HASH)}: must be a SHA-256 as 64 lower-case"
            f" hexadecimal digits, not {shown(sha256)}"
        )
    return Component(
        package=fields.text(*_PACKAGE, limit=MAX_TEXT),
        version=fields.text(*_VERSION, limit=MAX_TEXT),
        sha256=sha256,
        size=fields.integer(*_SIZE, maximum=MAX_INTEGER),
        uri=fields.text(*_URI, limit=MAX_URI),
        type=_text_or_none(fields.find(*_TYPE)),
    )


def _refuse_duplicates(components: tuple[Component, ...]) -> None:
    seen: set[str] = set()
    for index, component in enumerate(components):
        if component.package in seen:
            raise CodecError(
                f"manifest.components[{index}].package: {component.package!r} is listed twice;"
                " a deployment holds one artifact per package"
            )
        seen.add(component.package)


def _text_or_none(value: object) -> str | None:
    # Nothing depends on these fields, so an odd one must not cost the whole deployment.
    return value if isinstance(value, str) and is_encodable(value) else None
