"""What every child process of ours does to itself before it does anything else."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import threading
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
LOW_PRIORITY = 10
OOM_SCORE = 500

# Credentials may come to the agent in its environment; a child process gets none of them.
_INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR")

# Arrays of a picture's size come and go with every frame. glibc would give their memory back to the
# system each time, which would have to clear it anew: 0.25 ms for a frame that takes 2.5 ms.
_KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2 << 20), "MALLOC_TRIM_THRESHOLD_": str(4 << 20)}


def environment() -> dict[str, str]:
    """What a child process needs of our environment. Called by the parent."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # numpy's linear algebra is not used, but would start a thread for every processor.
    return {**inherited, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **_KEPT_MEMORY}


def die_with_parent(parent: int) -> None:
    """Be killed when the thread that started us ends; leave at once if it is gone already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the parent process is gone")


def forbid_new_privileges() -> None:
    """No program this process starts can gain rights, not even a set-user-id one."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def leave_no_core() -> None:
    """A crash leaves no core file: it may be as large as the memory, and it holds pictures."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def ignore_terminal() -> None:
    """Leave Ctrl-C and a service manager's SIGTERM to the parent, which ends us in its own time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def be_ended_first() -> None:
    """When memory runs out, let the kernel end this process before the one that started it."""
    # Where a sandbox has made this read-only, the kernel chooses by size as ever.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")


def lower_thread_priority() -> None:
    """Make the calling thread, and those it starts, give way to others.

    On Linux each thread has a priority of its own, so work can be done quietly in one thread
    without the right to raise the priority of the process again afterwards. The kernel derives
    the priority of reading and writing from it.
    """
    thread = threading.get_native_id()
    already = os.getpriority(os.PRIO_PROCESS, thread)
    os.setpriority(os.PRIO_PROCESS, thread, max(already, LOW_PRIORITY))


def may_raise_priority() -> bool:
    """Whether a lowered thread could be raised again. Root may not within many containers."""
    outcome: list[bool] = []

    def lower_and_raise() -> None:
        thread = threading.get_native_id()
        usual = os.getpriority(os.PRIO_PROCESS, thread)
        lower_thread_priority()
        try:
            os.setpriority(os.PRIO_PROCESS, thread, usual)
        except PermissionError:
            outcome.append(False)
        else:
            outcome.append(True)

    trying = threading.Thread(target=lower_and_raise)
    trying.start()
    trying.join()
    return outcome == [True]


class Threads:
    """This process's threads; they can be listed once, also when no file may be opened by then."""

    def __init__(self) -> None:
        self._entries = os.scandir("/proc/self/task")

    def restore_priorities(self) -> None:
        """Give every thread the priority of the main thread, if we may. Called once."""
        wanted = os.getpriority(os.PRIO_PROCESS, os.getpid())
        with self._entries as entries:
            for thread in (int(entry.name) for entry in entries):
                # A thread may have ended meanwhile, and an ordinary user may raise none.
                with suppress(ProcessLookupError, PermissionError):
                    if os.getpriority(os.PRIO_PROCESS, thread) > wanted:
                        os.setpriority(os.PRIO_PROCESS, thread, wanted)


def _prctl(option: int, argument: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
