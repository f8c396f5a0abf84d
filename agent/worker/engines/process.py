"""What the operating system knows of an engine: its process, its size and its last words."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

from agent.worker.engines.engine_process import EngineJob
from agent.worker.sandbox import child
from agent.worker.sandbox.post_mortem import how_it_ended, last_words
from agent.worker.sandbox.starvation import is_starved, processor_seconds

EXIT_SECONDS = 0.5
WORDS_BYTES = 4096


class EngineProcess:
    """A running engine process and our end of the connection to it."""

    def __init__(
        self, process: asyncio.subprocess.Process, connection: socket.socket, words: LastWords
    ) -> None:
        self.connection = connection
        """SOCK_SEQPACKET, not blocking."""
        self._process = process
        self._words = words

    @classmethod
    async def start(cls, job: EngineJob) -> EngineProcess:
        """Start it with a connection, which is put into the job. Raises OSError."""
        words = LastWords()
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:
            words.close_writer()
            words.close()
            raise
        ours.setblocking(False)
        command = job.connected(theirs.fileno()).to_json()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "agent.worker.engines.engine_process", command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=words.writer,
                stderr=words.writer,
                pass_fds=(theirs.fileno(), job.frames),
                env=child.environment(),
            )
        except BaseException:
            ours.close()
            words.close()
            raise
        finally:
            theirs.close()
            words.close_writer()
        return cls(process, ours, words)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def resident_bytes(self) -> int:
        """Memory it takes, without the frames it shares with the worker; 0 when it is gone."""
        self._words.collect()
        return resident_bytes(self.pid)

    def processor_seconds(self) -> float:
        """Processor time it has used since it began; 0 when it is gone."""
        return processor_seconds(self.pid)

    def is_starved(self, seconds: float, used_before: float) -> bool:
        """Whether it could go on if it were given a processor, or its memory's pages."""
        return is_starved(self.pid, seconds, used_before)

    async def ending(self) -> str:
        """How it ended, with its last words; ended by force if it goes on without a connection."""
        try:
            async with asyncio.timeout(EXIT_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            code = await self._process.wait()
        return how_it_ended(code) + self.last_words()

    def last_words(self) -> str:
        """The last line it wrote that tells something, in brackets, or nothing."""
        last = self._words.last()
        return f" ({last})" if last else ""

    def kill(self) -> None:
        """End it, whatever it does: it holds nothing worth saving."""
        if self._process.returncode is None:
            self._process.kill()

    async def end(self) -> None:
        """Let go of everything; returns when the process is gone."""
        self.connection.close()
        self.kill()
        await self._process.wait()
        self._words.close()


class LastWords:
    """The end of what a process writes to its standard output and error.

    The pipe never makes the process wait: what comes while it is full is lost. It is looked into
    now and then only, so that a model that chatters costs the worker nothing.
    """

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._kept = b""

    def collect(self) -> None:
        """Empty the pipe."""
        try:
            while chunk := os.read(self._reader, 65536):
                self._kept = (self._kept + chunk)[-WORDS_BYTES:]
        except BlockingIOError:
            return

    def last(self) -> str | None:
        """The last line that tells something."""
        self.collect()
        return last_words(self._kept)

    def close_writer(self) -> None:
        """The process has the other end; called once."""
        os.close(self.writer)

    def close(self) -> None:
        """Listen no more; called once."""
        os.close(self._reader)


def resident_bytes(pid: int | str) -> int:
    """Memory of a process, without what it shares through memfds; 0 when it is gone.

    Pages of libraries count in every process that uses them: a sum errs on the safe side. Raises
    OSError when this process is too short of something to look.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    sizes = dict(line.split(":", 1) for line in status.splitlines())
    # An ended process that nobody has waited for has none.
    return sum(
        int(sizes[name].split()[0]) << 10 for name in ("RssAnon", "RssFile") if name in sizes
    )
