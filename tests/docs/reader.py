"""Somebody who types what a page says, line by line."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.stage import await_that
from tests.docs.markdown_pages import Block, blocks, simple_commands
from tests.support.provisioning import Operator, Run, cloud_in_background

QUICK_DEVICE = {
    "EDGEFERRY_GOLIOTH__REQUESTS_PER_SECOND": "0",
    "EDGEFERRY_UPDATE__WINDOW_FRAMES": "5",
    "EDGEFERRY_WORKER__FRAMES_PER_SECOND": "10",
}
"""What a reader has patience for, and a test has not: the rest is as written."""

SETTLED = ("current", "refused", "rolled back")
NOT_HERE = ("systemctl", "systemd-creds", "shred")
"""What a device has and the machine of a test has not."""

ASKED_AT_A_TERMINAL = "Deploy this?"
TO_DO = "→ in operator.toml: "
PATIENCE, LOOK = 240.0, 0.5


@dataclass
class Reader:
    """Somebody in ``folder``, which is the working directory, a copy of the repository and home.

    ``stack`` ends what is started. ``watched`` collects what the fleet came to each time a page
    says to watch it.
    """

    folder: Path
    stack: ExitStack
    variables: dict[str, str] = field(default_factory=dict)
    watched: list[str] = field(default_factory=list)

    def read(self, page: Path) -> None:
        """Do what the page says, from its first line to its last."""
        for block in blocks(page):
            if not block.walked:
                continue
            if block.language == "console":
                self._type(block)
            elif block.language in ("toml", "python") and block.file:
                (self.folder / block.file).write_text(block.text)

    def type(self, line: str) -> str:
        """Do one line, and return what it says."""
        return " ".join(self._do(words, line) for words in _words(line))

    def run(self, *words: str) -> Run:
        """An ``edgeferry`` command."""
        return Operator(self.folder, {"EDGEFERRY_PROJECT": "", **self.variables}).edgeferry(*words)

    def _type(self, block: Block) -> None:
        for line, shown in block.dialogue():
            if self._is_file(line):
                (self.folder / line.split()[1]).write_text("\n".join(shown) + "\n")
                continue
            said = " ".join(self.type(line).split())
            for each in shown:
                if not each.startswith(ASKED_AT_A_TERMINAL):
                    assert " ".join(each.split()) in said, f"{block}: {each} is not in: {said}"

    def _is_file(self, line: str) -> bool:
        """Whether the page shows a file so; the reader writes it."""
        return line.startswith("cat ") and not (self.folder / line.split()[1]).exists()

    def _do(self, words: Sequence[str], where: str) -> str:
        program, *arguments = [word.replace("$PWD", str(self.folder)) for word in words]
        if program == "export":
            for name, _, value in (word.partition("=") for word in arguments):
                self.variables[name] = value
        elif program == "cd":
            os.chdir(arguments[0].replace("~", str(self.folder)))
        elif program == "tar":
            self._put_on_device(arguments)
        elif program == "sqlite3":
            return _queried(Path(arguments[-2]), arguments[-1])
        elif program == "edgeferry":
            return self._edgeferry(arguments, where)
        elif program == "python":
            self._start([sys.executable, *arguments])
        elif program not in NOT_HERE:
            subprocess.run([program, *arguments], check=True)
        return ""

    def _edgeferry(self, arguments: list[str], where: str) -> str:
        if arguments[0] == "cloud":
            self._start_cloud(arguments[1:])
        elif arguments[0] == "run":
            self._start_device(arguments)
        elif "--watch" in arguments:
            self.watched.append(self._settled(arguments))
        else:
            if arguments[:3] == ["provision", "device", "request"]:
                key = self._device(arguments[3]) / "edgeferry.key"
                arguments += ["--key", str(key)]
            run = self.run(*arguments)
            assert run.status == 0, f"{where}: {arguments}\n{run.output}{run.error}"
            self._follow(run.output)
            return run.output
        return ""

    def _follow(self, output: str) -> None:
        """Write what a command says belongs into the operator's file."""
        file = Path(self.variables.get("EDGEFERRY_OPERATOR", ""))
        for line in output.splitlines():
            if line.startswith(TO_DO) and "=" in line:
                name = line.removeprefix(TO_DO).partition(" = ")[0]
                kept = [each for each in file.read_text().splitlines() if name not in each]
                file.write_text("\n".join([*kept, line.removeprefix(TO_DO), ""]))

    def _start_cloud(self, options: list[str]) -> None:
        given = dict(zip(options[::2], options[1::2], strict=True))
        folder = self.folder / given["--data"]
        folder.parent.mkdir(exist_ok=True)
        project = given.get("--project", "demo")
        self.stack.enter_context(cloud_in_background(folder, project, rate_limit=None))

    def _start_device(self, arguments: list[str]) -> None:
        file = arguments[arguments.index("--config") + 1] if "--config" in arguments else ""
        config = Path(file or self.variables["EDGEFERRY_CONFIG"])
        device = tomllib.loads(config.read_text()).get("device", {})
        self._start([sys.executable, "-m", "commands.main", *arguments])
        named = self.variables.get("EDGEFERRY_DEVICE__STATE_DIR", device.get("state_dir", ""))
        worker = self.folder / named / "worker.sock"

        def is_up() -> bool:
            run = self.run("status", "--json", "--config", str(config))
            there = worker.exists() or "--with-worker" not in arguments
            return run.status == 0 and run.document["connected"] and there

        await_that("the device is up", is_up, PATIENCE, every=LOOK)

    def _start(self, command: list[str]) -> None:
        process = subprocess.Popen(command, env={**os.environ, **self.variables, **QUICK_DEVICE})
        self.stack.callback(process.wait, PATIENCE)
        self.stack.callback(process.terminate)

    def _settled(self, arguments: list[str]) -> str:
        words = [word for word in arguments if word != "--watch"]

        def status() -> Any:
            (device,) = self.run(*words, "--json").document["devices"]
            return device["status"] if device["status"] in SETTLED else None

        return str(await_that("the fleet has settled", status, PATIENCE, every=LOOK))

    def _device(self, name: str) -> Path:
        """Where the credentials of a device are that is none."""
        folder = self.folder / "devices" / name / "etc" / "credstore"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _put_on_device(self, arguments: list[str]) -> None:
        """``tar -xpf NAME.tar.gz -C /`` on the device, where the archive was carried to."""
        archive = self.folder / "ca" / "devices" / arguments[1]
        root = self._device(archive.name.removesuffix(".tar.gz")).parents[1]
        subprocess.run(["tar", arguments[0], archive, "-C", root], check=True)


def _words(line: str) -> list[list[str]]:
    """The commands of a line; a comment at its end is none, and an & ends a command."""
    plain = shlex.join(shlex.split(line, comments=True))
    return list(simple_commands(re.sub(r"'(&+)'", r"\1", plain)))


def _queried(database: Path, query: str) -> str:
    """What sqlite3 would print, which not every machine has."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(query).fetchall()
    assert rows or "outbox" in query, f"nothing comes of {query}"
    return "\n".join("|".join(map(str, row)) for row in rows)
