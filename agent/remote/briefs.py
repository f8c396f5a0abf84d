"""Answers short enough for one message: Golioth's links are slow, and a datagram holds 1024 bytes.

The whole of it is on the device: ``edgeferry status`` and ``edgeferry explain``.
"""

from __future__ import annotations

from typing import Any

from protocol.errors import CodecError
from protocol.rpc import RpcResult, encode_result

Document = dict[str, Any]

MOST_BYTES = 1024
_CUTS = (400, 200, 100, 50, 20)
_WORKER = ("state", "release", "fps", "captured", "classified", "dropped", "max_gap_ms", "detail")
_STORY = ("update", "release", "sequence", "state", "outcome", "reason", "verdict", "next")


def brief_status(status: Document) -> Document:
    """What the device serves, does and waits for."""
    target, error = status["target"], status["last_error"]
    progress = {n: target[n] for n in ("bytes_done", "bytes_total")} if target else {}
    return {
        **{name: status[name] for name in ("state", "since", "hold", "waits_for")},
        "active": _named(status["active"]),
        "previous": _named(status["previous"]),
        "target": {**_named(target), **progress} if target else None,
        "last_error": {n: error[n] for n in ("release", "reason", "detail")} if error else None,
        "next_try_in_s": status["next_try_in_s"],
        "rejected": len(status["rejected"]),
        "worker": {n: status["worker"][n] for n in _WORKER if n in status["worker"]},
    }


def brief_story(story: Document) -> Document:
    """What became of an update, and what comes next."""
    return {name: story[name] for name in _STORY}


def fitted(result: RpcResult) -> RpcResult:
    """The answer in at most 1024 bytes: long texts and lists are cut as far as need be."""
    if _fits(result):
        return result
    for longest in _CUTS:
        cut = RpcResult(result.id, result.code, _cut(result.detail, longest))
        if _fits(cut):
            return cut
    return RpcResult(result.id, result.code, {"error": "the answer is too long for one message"})


def _fits(result: RpcResult) -> bool:
    try:
        return len(encode_result(result)) <= MOST_BYTES
    except CodecError:
        return False


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str) and len(value) > longest:
        return value[: longest - 1] + "…"
    if isinstance(value, list):
        return [_cut(item, longest) for item in value[: longest // 10]]
    if isinstance(value, dict):
        return {key: _cut(item, longest) for key, item in value.items()}
    return value


def _named(release: Document | None) -> Document:
    if release is None:
        return {}
    versions = {name: package["version"] for name, package in release["packages"].items()}
    return {"id": release["id"], "versions": versions}
