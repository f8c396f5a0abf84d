"""What a device wants to be told of, and the resources that tell it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from protocol.device_settings import DeviceSettings, decode_settings
from protocol.errors import CodecError
from protocol.following import Followed
from protocol.formats import PlainValue
from protocol.manifest import Manifest, decode_manifest
from protocol.rpc import RpcCall, decode_call
from protocol.trouble import Trouble
from protocol.values import decode_value

DESIRED = ".u/desired"

Document = TypeVar("Document")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subscriptions:
    """What a device wants to be told of beside its manifest, repeats included; None for nothing.

    ``state`` goes by the path below ``.d/``; what is not there is told as None. All are called on
    the event loop and must be quick. A call may come twice, with the same id.
    """

    settings: Callable[[DeviceSettings], None] | None = None
    call: Callable[[RpcCall], None] | None = None
    state: Mapping[str, Callable[[PlainValue], None]] = field(default_factory=dict)


def followed(
    on_manifest: Callable[[Manifest], None], wanted: Subscriptions
) -> tuple[Followed[Any], ...]:
    """The resources to follow; the manifest first, for an update matters more than the rest."""
    resources: list[Followed[Any]] = [
        Followed(DESIRED, decode_manifest, on_manifest, Trouble(logger, "manifest"))
    ]
    if wanted.settings is not None:
        trouble = Trouble(logger, "settings")
        resources.append(Followed(".c", _settings, wanted.settings, trouble))
    if wanted.call is not None:
        trouble = Trouble(logger, "remote calls")
        resources.append(Followed(".rpc", _call, wanted.call, trouble, events=True))
    for path, deliver in wanted.state.items():
        trouble = Trouble(logger, f"device state at {path}")
        resources.append(Followed(f".d/{path}", decode_value, deliver, trouble))
    return tuple(resources)


def _settings(payload: bytes, content_format: int) -> DeviceSettings:
    return _said(decode_settings(payload, content_format), "settings")


def _call(payload: bytes, content_format: int) -> RpcCall:
    return _said(decode_call(payload, content_format), "RPC call")


def _said(document: Document | None, what: str) -> Document:
    if document is None:
        raise CodecError(f"{what}: a bare OK in place of a document")
    return document
