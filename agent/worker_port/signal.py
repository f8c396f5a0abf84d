"""Any inference script as the worker: PID in a file, SIGUSR1 to reload, models by path.

The original updater's contract: the script opens ``models/ai-model.tflite`` and ``labels.txt`` in
the state folder and reloads them when it gets SIGUSR1. It has no way to answer.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

from states.figures import WorkerFigures
from states.ports import Evidence, Postponed
from states.reasons import Transient

logger = logging.getLogger(__name__)


class SignalWorker:
    """Implements :class:`states.ports.Worker` for a script that is only signalled.

    ``active`` tells the release that the ``models`` folder shows. A script has no counters, so each
    look that finds its process alive counts as one frame of the commit window.
    """

    def __init__(self, pid_file: Path, active: Callable[[], str | None]) -> None:
        self._pid_file = pid_file
        self._active = active
        self._seen_alive = 0

    async def prepare(self, _release_id: str) -> None:
        """Do nothing: a script can't load anything beside what it serves."""

    async def commit(self, release_id: str, watch: bool) -> Evidence:  # noqa: ARG002 - as the port
        """Tell the script to reload; ``models`` shows the new release already.

        A script that does not run yet may be waiting for its first model, so that is no failure
        here: it reads the files when it starts, and the commit window waits for that.
        """
        self._seen_alive = 0
        try:
            self._signal(signal.SIGUSR1)
        except Postponed as away:
            logger.warning("release %s is in place; %s", release_id, away.detail)
            return {"signalled": False}
        logger.info("signalled the inference script to load release %s", release_id)
        return {"signalled": True}

    async def reload(self, release_id: str) -> Evidence:
        """Tell the script to reload. Raises Postponed when it is gone."""
        self._signal(signal.SIGUSR1)
        logger.info("signalled the inference script to load release %s anew", release_id)
        return {"signalled": True}

    async def settle(self, _release_id: str) -> None:
        """Do nothing: a script keeps no second model."""

    async def withdraw(self) -> None:
        """Say so: a script can't be told to stop serving."""
        logger.warning("no release is left to serve; the script keeps what it has in memory")

    async def figures(self) -> WorkerFigures:
        """Count a living process as one frame. Raises Postponed when it is gone."""
        pid = self._signal(0)
        self._seen_alive += 1
        seen = self._seen_alive
        return WorkerFigures(self._active(), seen, seen, 0, 0, instance=str(pid))

    def _signal(self, number: int) -> int:
        try:
            pid = _script_pid(self._pid_file.read_text())
            os.kill(pid, number)
        except PermissionError as error:
            raise Postponed(
                Transient.WORKER_AWAY,
                f"{self._pid_file}: {error}; run the inference script as the agent's user",
            ) from error
        except (OSError, ValueError) as error:
            raise Postponed(
                Transient.WORKER_AWAY,
                f"inference script with its PID in {self._pid_file}: {error}; is it running?",
            ) from error
        return pid


def _script_pid(text: str) -> int:
    pid = int(text)
    if pid <= 1:
        raise ValueError(f"{pid} is no process of a script")
    return pid
