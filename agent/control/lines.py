"""The lines at a control socket, and what they mean at either end."""

from __future__ import annotations

import json
from typing import Any

from agent.control.errors import ControlError

LINE_BYTES = 65536
"""Most a request may take."""
LONGEST_TEXT = 4000


def as_line(message: object) -> bytes:
    """A message as it is sent."""
    return json.dumps(message).encode() + b"\n"


def request_line(method: str, parameters: dict[str, Any]) -> bytes:
    """The one request of a client that asks nothing else."""
    return as_line({"id": 1, "method": method, "params": parameters})


def read_request(line: bytes) -> dict[str, Any]:
    """The object in a line; an empty one stands for one that was too long. Raises ControlError."""
    if not line:
        raise ControlError("bad-request", f"the line is longer than {LINE_BYTES} bytes")
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ControlError("bad-request", f"the line is no JSON: {error}") from error
    if not isinstance(request, dict):
        raise ControlError("bad-request", "the line is no JSON object")
    return request


def read_reply(answer: bytes) -> dict[str, Any]:
    """The result in the line that answers a request.

    Raises ControlError for an error, its detail fit to be logged and stored; ValueError for a line
    that is no reply.
    """
    try:
        reply = json.loads(answer)
        if "error" not in reply:
            return dict(reply["result"])
        reason, detail = (str(reply["error"][name]) for name in ("reason", "detail"))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no reply: {answer[:200]!r}") from error
    raise ControlError(
        *(text[:LONGEST_TEXT].encode(errors="replace").decode() for text in (reason, detail))
    )
