"""The tutorial and the page after it, typed line by line as they stand."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from demo.stage import await_that
from tests.docs.markdown_pages import ROOT, Block, blocks
from tests.support.provisioning import Operator, Run

pytestmark = pytest.mark.system

PAGES = ("tutorial.md", "publishing.md")
"""The second goes on where the first ends."""

FREE_CLOUD = ("--coap-port", "0", "--http-port", "0", "--rate-limit", "0")
QUICK_DEVICE = {
    "EDGEFERRY_GOLIOTH__REQUESTS_PER_SECOND": "0",
    "EDGEFERRY_UPDATE__WINDOW_FRAMES": "5",
}
"""What a reader has patience for, and a test has not: the rest is as written."""

SETTLED = ("current", "refused", "rolled back")
COMES_TO = ("current", "refused", "current")
"""What the fleet shows in the end, each time a page says to watch it."""

ASKED_AT_A_TERMINAL = "Deploy this?"
PATIENCE, LOOK = 90.0, 0.3


@dataclass
class Reader:
    """Somebody in a copy of the repository who types what a page says."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    background: list[subprocess.Popen[bytes]] = field(default_factory=list)
    watched: list[str] = field(default_factory=list)

    def read(self, page: Path) -> None:
        """Do what the page says, from its first line to its last."""
        for block in blocks(page):
            if block.language == "console":
                self._type(block)
            elif block.language == "toml":
                (self.folder / "trial" / "common.toml").write_text(block.text)

    def _type(self, block: Block) -> None:
        said = ""
        for line in block.text.splitlines():
            if line.startswith("$ "):
                said = " ".join(self._do(line[2:], str(block)).split())
            elif not line.startswith(ASKED_AT_A_TERMINAL):
                assert " ".join(line.split()) in said, f"{block} shows other output than came"

    def _do(self, line: str, where: str) -> str:
        words = shlex.split(line.replace("$PWD", str(self.folder)))
        program, *arguments = words
        if program == "export":
            name, _, value = arguments[0].partition("=")
            self.variables[name] = value
        elif words[-1] == "&":
            self._start(arguments[:-1])
        elif "--watch" in arguments:
            self.watched.append(self._settled())
        elif program == "edgeferry":
            run = self._run(*arguments)
            assert run.status == 0, f"{where}: {line}\n{run.output}{run.error}"
            return run.output
        else:
            subprocess.run(words, cwd=self.folder, check=True)
        return ""

    def _start(self, arguments: list[str]) -> None:
        more = FREE_CLOUD if arguments[0] == "cloud" else ()
        command = [sys.executable, "-m", "commands.main", *arguments, *more]
        env = {**os.environ, **self.variables, **QUICK_DEVICE}
        self.background.append(subprocess.Popen(command, cwd=self.folder, env=env))
        if arguments[0] == "cloud":
            made = self.folder / "trial" / "cloud" / "operator.toml"
            await_that("the cloud is there", made.exists, PATIENCE)
        else:
            await_that("agent and worker are up", self._is_up, PATIENCE, every=LOOK)

    def _is_up(self) -> bool:
        run = self._run("status", "--json")
        worker = self.folder / "trial" / "device" / "worker.sock"
        return run.status == 0 and run.document["connected"] and worker.exists()

    def _settled(self) -> str:
        def status() -> Any:
            (device,) = self._run("fleet", "--json").document["devices"]
            return device["status"] if device["status"] in SETTLED else None

        return str(await_that("the fleet has settled", status, PATIENCE, every=LOOK))

    def _run(self, *words: str) -> Run:
        return Operator(self.folder, {"EDGEFERRY_PROJECT": "", **self.variables}).edgeferry(*words)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    monkeypatch.chdir(tmp_path)
    reader = Reader(tmp_path)
    try:
        yield reader
    finally:
        for process in reversed(reader.background):
            process.terminate()
            process.wait(PATIENCE)


def test_the_tutorial_and_what_follows_it_hold_line_by_line(reader: Reader) -> None:
    for page in PAGES:
        reader.read(ROOT / "docs" / page)
    assert reader.watched == list(COMES_TO)
