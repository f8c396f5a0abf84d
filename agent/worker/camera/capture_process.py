"""Reads the source in a process of its own: ``python -m agent.worker.camera.capture_process``.

Started by :class:`agent.worker.camera.capture.Capture` with a SOCK_SEQPACKET socket as standard
input and the frames' memory as descriptor. The first message says what to do (not the command line,
which everybody may read: a stream's URL may hold a password); the rest is
:mod:`agent.worker.camera.playing`.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass

from agent.worker.sandbox import child

MESSAGE_BYTES = 65536


@dataclass(frozen=True)
class CaptureJob:
    """What the process is to read; JSON in its first message."""

    parent: int
    frames: int
    """Writable descriptor of the frames' shared memory."""
    source: str
    frames_per_second: float
    picture_order: str
    seed: int
    stall_seconds: float

    def to_json(self) -> bytes:
        """The first message."""
        return json.dumps(asdict(self)).encode()


def main() -> None:
    """Open the source and play it until it fails or the worker closes the socket."""
    worker = socket.socket(fileno=0)
    job = CaptureJob(**json.loads(worker.recv(MESSAGE_BYTES)))
    child.die_with_parent(job.parent)
    child.forbid_new_privileges()
    child.leave_no_core()
    child.ignore_terminal()
    child.be_ended_first()
    from agent.worker.camera.playing import play

    failure = play(worker, job)
    with suppress(BrokenPipeError, ConnectionResetError):
        worker.send(json.dumps({"failed": failure}).encode())


if __name__ == "__main__":
    main()
