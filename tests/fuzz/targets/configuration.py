"""``agent.toml``: read with every fault named, and made into what the agent goes by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from agent.commands.example_config import example_config
from agent.config import load_settings
from agent.errors import ConfigurationError
from tests.fuzz.target import Attempt, refusing


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: the file. What the environment says is left out."""
    plain = {n: v for n, v in os.environ.items() if not n.startswith(("EDGEFERRY_", "GOLIOTH_"))}
    with TemporaryDirectory() as folder, patch.dict(os.environ, plain, clear=True):
        path = Path(folder) / "agent.toml"

        def attempt(data: bytes) -> None:
            path.write_bytes(data)
            with refusing(ConfigurationError):
                settings = load_settings(path)
                settings.gates()
                settings.policy()

        yield attempt


def seeds() -> Iterator[bytes]:
    """The commented example, and files of one section each."""
    yield example_config().encode()
    yield b'[golioth]\npsk_id = "a@b"\npsk = "c"\nuri = "coaps://coap.golioth.io"\n'
    yield b'[download]\nwindows = ["22:00-06:00"]\nbytes_per_second = 9_000\n'
    yield b'[trust]\nkeys = ["GX9rI+FshTLGq8g4+s1eor1xD8DXhuFGrZqS6iJ0mKw="]\n'
    yield b'[update]\nwindow_frames = 1e3\nfirst_retry_seconds = inf\n[log]\nlevel = "loud"\n'
    yield b'device.state_dir = "/tmp"\n[worker]\nsource = "rtsp://u:p@h/x"\npreproces = {}\n'
    yield b"a = " + b"[" * 1200
