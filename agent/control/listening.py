"""Making and removing the file of a UNIX socket; nothing that is none, or is served, is touched."""

from __future__ import annotations

import logging
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.control.errors import SocketUnusable

log = logging.getLogger(__name__)

AGENT_SOCKET = "agent.sock"
"""The agent's own within the state folder."""
LONGEST_SOCKET_PATH = 107


def listen(path: Path, mode: int) -> socket.socket:
    """A socket that listens there. Raises SocketUnusable, also while another process serves it."""
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise SocketUnusable(
            f"the socket path {path} has more than {LONGEST_SOCKET_PATH} bytes; "
            "set a shorter device.state_dir, or worker.socket if it is the worker's"
        )
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~mode)
    try:
        with _can_be_made(path):
            listener.bind(str(path))
            listener.listen()
    except SocketUnusable:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


@contextmanager
def _can_be_made(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SocketUnusable(
            f"the control socket {path} can't be made: {error.strerror}"
        ) from error


def remove(listener: socket.socket) -> None:
    """Remove the file of a socket that still listens."""
    path = listener.getsockname()
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        # The next start removes what nobody listens on.
        log.warning("the control socket %s stays behind: %s", path, error.strerror)


def _remove_stale(path: Path) -> None:
    """Remove a socket that a killed process left behind, and nothing else."""
    with _can_be_made(path):
        if _is_served(path):
            raise SocketUnusable(f"another process serves {path}; stop it first")
        path.unlink(missing_ok=True)


def _is_served(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(mode):
        raise SocketUnusable(f"{path} is no socket, so none can be made there; remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True
