from __future__ import annotations

import io
import logging
import os
from pathlib import Path

import pytest

from agent.service.logs import JournaldFormatter, is_journald


def entry(level: int, message: str, error: BaseException | None = None) -> str:
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("agent.daemon", level, "", 1, message, None, info)
    return JournaldFormatter().format(record)


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.DEBUG, 7),
        (logging.INFO, 6),
        (logging.WARNING, 4),
        (logging.ERROR, 3),
        (logging.CRITICAL, 2),
    ],
)
def test_a_line_begins_with_its_priority_and_has_no_time(level: int, priority: int) -> None:
    assert entry(level, "hello") == f"<{priority}>agent.daemon: hello"


def test_every_line_of_a_traceback_has_the_priority() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    lines = entry(logging.ERROR, "unforeseen", caught.value).splitlines()
    assert len(lines) > 2
    assert all(line.startswith("<3>") for line in lines)


def test_journald_is_told_by_the_stream_it_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "log").open("w") as stream, (tmp_path / "other").open("w") as other:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert is_journald(stream)
        assert not is_journald(other)
        assert not is_journald(io.StringIO())
        monkeypatch.delenv("JOURNAL_STREAM")
        assert not is_journald(stream)
