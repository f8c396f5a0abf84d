"""Identifiers and timestamps in Golioth's forms."""

from __future__ import annotations

import re
import secrets
import time
from datetime import UTC, datetime

from localcloud.errors import InvalidArgument

_OBJECT_ID = re.compile(r"[0-9a-f]{24}\Z")
_NOT_SLUG = re.compile(r"[^a-z0-9]+")
# Both end up in the component's URI, whose segments the device SDK copies without any decoding.
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}\Z")


def object_id() -> str:
    """A new id: 24 hexadecimal digits, of which the first eight are the time of creation."""
    return f"{int(time.time()) & 0xFFFFFFFF:08x}{secrets.token_hex(8)}"


def check_object_id(value: str) -> str:
    """The id unchanged; raises InvalidArgument in the words the official client looks for."""
    if not _OBJECT_ID.match(value):
        raise InvalidArgument(f"the provided hex string is not a valid ObjectID: {value!r}")
    return value


def slug(name: str) -> str:
    """A name as an id: lower-case letters, digits and single hyphens. Raises InvalidArgument."""
    result = _NOT_SLUG.sub("-", name.lower()).strip("-")
    if not result:
        raise InvalidArgument(f"name {name!r} has no letter or digit to make an id of")
    return result


def check_package(value: str) -> str:
    """A package id unchanged, or InvalidArgument."""
    if not _PACKAGE.match(value):
        raise InvalidArgument(
            f"package {value!r}: use 1 to 64 letters, digits, '.', '_' or '-', "
            "starting with a letter or digit"
        )
    return value


def check_version(value: str) -> str:
    """An artifact version unchanged, or InvalidArgument. It need not be semantic."""
    if not _VERSION.match(value):
        raise InvalidArgument(
            f"version {value!r}: use 1 to 64 letters, digits, '.', '_', '+', '~' or '-', "
            "starting with a letter or digit"
        )
    return value


def timestamp() -> str:
    """Now, in UTC, RFC 3339 with nanoseconds. Fixed width, so text order is time order."""
    return format_timestamp(time.time_ns())


def format_timestamp(nanoseconds: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 text in UTC."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_to_seconds(datetime.fromtimestamp(seconds, UTC))}.{rest:09d}Z"


def floor_timestamp(text: str, seconds: float) -> str:
    """A time as :func:`timestamp` writes it, rounded down to a multiple of ``seconds``."""
    step = max(1, int(seconds * 1_000_000_000))
    # Exact: a float would not hold today's nanoseconds.
    whole = unix_seconds(text) * 1_000_000_000
    return format_timestamp((whole + int(text[20:29])) // step * step)


def unix_seconds(text: str) -> int:
    """A time as :func:`timestamp` writes it in whole seconds since 1970, rounded down."""
    return int(datetime.fromisoformat(f"{text[:19]}+00:00").timestamp())


def parse_timestamp(text: str) -> str:
    """RFC 3339 text from a caller in the form :func:`timestamp` writes. Raises InvalidArgument."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"{text!r} is no RFC 3339 time") from error
    return f"{_to_seconds(moment)}.{moment.microsecond * 1000:09d}Z"


def _to_seconds(moment: datetime) -> str:
    # Not by strftime, which writes early years with fewer digits.
    return moment.replace(tzinfo=None, microsecond=0).isoformat()
