"""Landlock: a process gives up the file system and the network for itself and its children.

No rights are granted here, only given up, so three system calls of a stable kernel interface are
all there is to it (docs/decisions/0005). They have the same numbers on every architecture; the
bits are those of ``linux/landlock.h``, as far as the running kernel's version of it knows them.
"""

from __future__ import annotations

import ctypes
import os

_CREATE_RULESET = 444
_RESTRICT_SELF = 446
_ASK_VERSION = 1

# Bits of handled_access_fs by the version that brought the last of them.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK_VERSION, _NETWORK_RIGHTS = 4, 0b11  # bind and connect, TCP
_SCOPE_VERSION, _SCOPES = 6, 0b11  # abstract UNIX sockets and signals of others


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


def version() -> int:
    """Version of the running kernel's Landlock; 0 when it has none or has it switched off."""
    known = int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION))
    return max(0, known)


def give_up() -> bool:
    """Open no file any more, make no connection.

    What is open stays usable. Only the calling thread and what it starts later are bound: call it
    before there are threads, after :func:`agent.worker.sandbox.child.forbid_new_privileges`.
    Returns whether the kernel knows it; raises OSError when it knows it and refuses.
    """
    known = version()
    if known == 0:
        return False
    attributes = _RulesetAttributes(
        _FILE_RIGHTS[max(number for number in _FILE_RIGHTS if number <= known)],
        _NETWORK_RIGHTS if known >= _NETWORK_VERSION else 0,
        _SCOPES if known >= _SCOPE_VERSION else 0,
    )
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    ruleset = _checked(_libc().syscall(_CREATE_RULESET, ctypes.byref(attributes), size, 0))
    try:
        _checked(_libc().syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"landlock: {os.strerror(number)}")
    return result


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
