"""seccomp through libseccomp: a process keeps the system calls that computing needs, no others.

What is missing from the list answers EPERM. libseccomp knows every architecture's numbers and is
on every system with systemd (docs/decisions/0005).
"""

from __future__ import annotations

import ctypes
import errno
import os

_LIBRARY = "libseccomp.so.2"
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_ALL_THREADS = 4  # SCMP_FLTATR_CTL_TSYNC
_EQUAL, _MASKED_EQUAL = 4, 7
_UNKNOWN = -1
_CLONE_THREAD = 0x00010000
_AT_EMPTY_PATH = 0x1000

# Memory, threads, clocks, and reading and writing what is open already. Names that an architecture
# lacks are passed over; the shorter lines are for those of 32 bits.
_KEPT = """
 brk mmap munmap mremap mprotect madvise membarrier get_mempolicy mincore
 mmap2
 read write pread64 preadv pwrite64 readv writev lseek close dup dup2 dup3 fstat fcntl poll ppoll
 getdents64
 _llseek fstat64 fcntl64 ppoll_time64 select _newselect pselect6
 recvfrom recvmsg sendto sendmsg recv send getsockopt shutdown
 epoll_wait epoll_pwait epoll_ctl
 futex futex_waitv set_robust_list get_robust_list rseq set_tid_address sched_yield
 futex_time64
 sched_getaffinity sched_getparam sched_getscheduler getcpu getpriority setpriority sysinfo uname
 clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times
 clock_gettime64 clock_getres_time64 clock_nanosleep_time64
 getpid gettid getppid getuid geteuid getgid getegid getrusage getrlimit ugetrlimit getrandom
 rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall sigreturn
 exit exit_group arch_prctl set_tls cacheflush
""".split()  # noqa: SIM905 - as a list it reads worse


class _Condition(ctypes.Structure):
    """``struct scmp_arg_cmp``: what one argument of a call must be."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("comparison", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def load() -> ctypes.CDLL | None:
    """libseccomp, or None when it is not installed; to be called while files may be opened."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.restype = None
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(_Condition),
    ]
    return library


def give_up(library: ctypes.CDLL) -> None:
    """Keep only what computing needs, in every thread of this process and its children.

    Call it after :func:`agent.worker.sandbox.child.forbid_new_privileges`. Raises OSError when the
    kernel has no seccomp or refuses the filter.
    """
    filters = library.seccomp_init(_ERRNO | errno.EPERM)
    if not filters:
        raise OSError(errno.ENOMEM, "seccomp: libseccomp made no filter")
    try:
        _fill(library, filters)
        _checked(library.seccomp_load(filters))
    finally:
        library.seccomp_release(filters)


def _fill(library: ctypes.CDLL, filters: int) -> None:
    # Threads that a library has started already are bound as well.
    _checked(library.seccomp_attr_set(filters, _ALL_THREADS, 1))
    for name in _KEPT:
        _rule(library, filters, _ALLOW, name)
    # A thread, but no process. clone3 hides its flags in memory; glibc then falls back to clone.
    thread = _Condition(0, _MASKED_EQUAL, _CLONE_THREAD, _CLONE_THREAD)
    _rule(library, filters, _ALLOW, "clone", thread)
    _rule(library, filters, _ERRNO | errno.ENOSYS, "clone3")
    # fstat() of glibc 2.33 to 2.37 is a look at the empty path of a descriptor.
    for name, position in (("newfstatat", 3), ("fstatat64", 3), ("statx", 2)):
        empty_path = _Condition(position, _MASKED_EQUAL, _AT_EMPTY_PATH, _AT_EMPTY_PATH)
        _rule(library, filters, _ALLOW, name, empty_path)
    # abort() signals itself. Limits may be read, not changed.
    _rule(library, filters, _ALLOW, "tgkill", _Condition(0, _EQUAL, os.getpid(), 0))
    _rule(library, filters, _ALLOW, "prlimit64", _Condition(2, _EQUAL, 0, 0))


def _rule(
    library: ctypes.CDLL, filters: int, action: int, name: str, *conditions: _Condition
) -> None:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number == _UNKNOWN:
        return  # newer than this libseccomp
    array = (_Condition * len(conditions))(*conditions)
    _checked(library.seccomp_rule_add_array(filters, action, number, len(conditions), array))


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(-result, f"seccomp: {os.strerror(-result)}")
