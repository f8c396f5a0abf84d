"""What a process that runs somebody's model gives up, and what the system let it give up.

Two steps, because libraries have to be loaded in between::

    confinement = Confinement()
    confinement.leave_network()        # before any thread
    …                                  # import, open files
    confinement.close_off()            # before the model is opened

Neither raises: a device whose kernel lacks something still gets the rest, and :attr:`in_force`
says what that is.
"""

from __future__ import annotations

import ctypes
import resource
from collections.abc import Iterator, Mapping

from agent.worker.sandbox import child, landlock, system_calls

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
NONE = "none: "


class Confinement:
    """The rights of the calling process, as they are given up.

    ``in_force`` has what holds for ``network``, ``filesystem``, ``system_calls`` and ``limits``,
    in words; it begins with ``none:`` and a reason where nothing does.
    """

    def __init__(self) -> None:
        child.forbid_new_privileges()
        child.leave_no_core()
        # Its file can't be opened later on.
        self._library = system_calls.load()
        self.in_force = dict.fromkeys(
            ("network", "filesystem", "system_calls", "limits"), f"{NONE}not asked for"
        )

    def leave_network(self) -> None:
        """Move into a network of its own with nothing in it; call it before there are threads."""
        if take_network_away():
            self.in_force["network"] = "namespace"
        else:
            self.in_force["network"] = f"{NONE}this system lets no ordinary user leave the network"

    def limit(self, *, memory_bytes: int, cpu_seconds: int, open_files: int) -> None:
        """Bound memory, processor time and open files, and forbid files to grow."""
        # At the first limit comes SIGXCPU, which tells it from a kill for want of memory.
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        self.in_force["limits"] = f"{memory_bytes >> 20} MiB, {cpu_seconds} s, no file may grow"

    def close_off(self) -> None:
        """Open no file and no connection, start no program: only compute, with what is open.

        System calls are taken from every thread; Landlock, the second wall, binds the calling
        thread and those it starts.
        """
        try:
            known = landlock.give_up()
            walls = [f"Landlock {landlock.version()}"] if known else []
            missing = "this kernel has no Landlock"
        except OSError as error:
            walls, missing = [], str(error)
        calls = self._keep_system_calls()
        self.in_force["system_calls"] = calls
        if not calls.startswith(NONE):
            walls.append("seccomp")
            network = self.in_force["network"]
            self.in_force["network"] = (
                "seccomp" if network.startswith(NONE) else f"{network}, seccomp"
            )
        self.in_force["filesystem"] = ", ".join(walls) or f"{NONE}{missing}"

    def _keep_system_calls(self) -> str:
        if self._library is None:
            return f"{NONE}libseccomp.so.2 is not installed (Debian: apt-get install libseccomp2)"
        try:
            system_calls.give_up(self._library)
        except OSError as error:
            return f"{NONE}{error.strerror}"
        return "seccomp"


def shortfalls(in_force: Mapping[str, str]) -> Iterator[str]:
    """What is not in force, each with its reason."""
    for what, holds in in_force.items():
        if holds.startswith(NONE):
            yield f"{what.replace('_', ' ')} ({holds.removeprefix(NONE)})"


def take_network_away() -> bool:
    """Returns whether that worked; not every system lets every user do it."""
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET):
        if libc.unshare(flags) == 0:
            return True
    return False
