"""OTA state reports: how the device tells the operator where an update stands.

Golioth: POST ``.u/c/<package>``, CBOR (JSON is accepted as well), short keys in the order
s, r, pkg, v, t; the long names are understood too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from protocol.fields import MAX_TEXT, Fields
from protocol.formats import ContentFormat, dump_document, load_document

DEFAULT_PACKAGE = "main"


class OtaState(IntEnum):
    """Golioth: the states of its device SDK."""

    IDLE = 0
    DOWNLOADING = 1
    DOWNLOADED = 2
    UPDATING = 3


class OtaReason(IntEnum):
    """Golioth: the reasons of its device SDK."""

    READY = 0
    FIRMWARE_UPDATED_SUCCESSFULLY = 1
    NOT_ENOUGH_FLASH_MEMORY = 2
    OUT_OF_RAM = 3
    CONNECTION_LOST = 4
    INTEGRITY_CHECK_FAILURE = 5
    UNSUPPORTED_PACKAGE_TYPE = 6
    INVALID_URI = 7
    FIRMWARE_UPDATE_FAILED = 8
    UNSUPPORTED_PROTOCOL = 9
    IO = 10
    AWAIT_RETRY = 11


@dataclass(frozen=True)
class OtaReport:
    """State of one package: ``version`` is the one in use, ``target`` the one being installed."""

    package: str = DEFAULT_PACKAGE
    state: OtaState = OtaState.IDLE
    reason: OtaReason = OtaReason.READY
    version: str | None = None
    target: str | None = None


def encode_report(report: OtaReport, content_format: int = ContentFormat.CBOR) -> bytes:
    """Encode a report with the short keys; unknown versions are left out."""
    document: dict[str, object] = {
        "s": int(report.state),
        "r": int(report.reason),
        "pkg": report.package,
    }
    if report.version is not None:
        document["v"] = report.version
    if report.target is not None:
        document["t"] = report.target
    return dump_document(document, content_format, "OTA report")


def decode_report(payload: bytes, content_format: int = ContentFormat.CBOR) -> OtaReport:
    """Decode a report with short or long keys; missing ones take Golioth's defaults.

    Raises CodecError naming the key for numbers outside the tables and for ill-typed fields.
    """
    fields = Fields(load_document(payload, content_format, "OTA report"), "OTA report")
    return OtaReport(
        package=fields.text("pkg", "package", limit=MAX_TEXT, default=DEFAULT_PACKAGE),
        state=fields.member(OtaState, "s", "state", default=0),
        reason=fields.member(OtaReason, "r", "reason", default=0),
        version=fields.optional_text("v", "version", limit=MAX_TEXT),
        target=fields.optional_text("t", "target", limit=MAX_TEXT),
    )
