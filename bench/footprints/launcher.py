"""Runs a program to its end and prints what that took: ``python -I launcher.py PROGRAM ARGUMENT…``.

A program of its own, with nothing in it: Linux counts the memory of whoever starts a process as the
process's own, and a benchmark is larger than most of what it starts.
"""

import json
import os
import sys
import time


def main() -> None:
    """Prints seconds, processor seconds, largest resident bytes and exit status as JSON."""
    null = os.open(os.devnull, os.O_RDWR)
    began = time.monotonic()
    child = os.posix_spawn(
        sys.argv[1],
        sys.argv[1:],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)],
    )
    _, status, usage = os.wait4(child, 0)
    took = {
        "seconds": time.monotonic() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * 1024,
        "status": os.waitstatus_to_exitcode(status),
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main()
