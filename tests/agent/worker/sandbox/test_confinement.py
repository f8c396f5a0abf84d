"""What a confined process can still do is tried from inside it, on each runtime."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.worker.sandbox import child, landlock, system_calls
from agent.worker.sandbox.confinement import NONE, Confinement, shortfalls
from tests.support.runtimes import RUNTIMES
from tests.support.tiny_models import TinyModel

SCRIPT = """
import json, os, socket, sys, threading, traceback
import cv2, numpy as np
from pathlib import Path
from agent.worker.model.classifier import Classifier, ClassifierSettings, probe_pictures
from agent.worker.sandbox.confinement import Confinement
from agent.worker.model.runtime import find_runtime

runtime, model, port, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
confinement = Confinement()
confinement.leave_network()
confinement.limit(memory_bytes=1 << 30, cpu_seconds=30, open_files=32)
found, content = find_runtime(runtime), model.read_bytes()
probe_pictures(8, 8)
cv2.setNumThreads(1)
jpeg = cv2.imencode(".jpg", np.zeros((20, 20, 3), np.uint8))[1]
before = socket.socket()
confinement.close_off()
attempts = {
    "open a socket": socket.socket,
    "connect a socket opened before": lambda: before.connect(("127.0.0.1", port)),
    "read a file": lambda: open("/etc/passwd").read(),
    "read the model again": model.read_bytes,
    "write a file": lambda: open(model.parent / "written", "w"),
    "remove a file": model.unlink,
    "rename a file": lambda: model.rename(model.parent / "other"),
    "change a file's mode": lambda: model.chmod(0o777),
    "list a folder": lambda: os.listdir("/"),
    "look for a file": lambda: os.stat("/etc/passwd"),
    "start a process": os.fork,
    "run a program": lambda: os.execv("/bin/true", ["true"]),
    "signal its parent": lambda: os.kill(os.getppid(), 9),
    "raise a limit": lambda: __import__("resource").setrlimit(1, (1, 1)),
}
outcome = {}
os.fstat(0)
for name, attempt in attempts.items():
    try:
        attempt()
        outcome[name] = "done"
    except OSError as error:
        outcome[name] = os.strerror(error.errno)
    except ValueError as error:
        outcome[name] = str(error)
classifier = Classifier(found, content, ["red", "green"], ClassifierSettings(num_threads=threads))
classifier.warm_up()
thread = threading.Thread(target=classifier.warm_up)
thread.start(); thread.join()
works = cv2.imdecode(jpeg, cv2.IMREAD_COLOR) is not None
print(json.dumps({"outcome": outcome, "in_force": confinement.in_force, "works": works}))
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(TinyModel().build())
    return path


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_confined_process_computes_and_can_do_nothing_else(
    model: Path, runtime: str, threads: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = _run(runtime, str(model), str(server.getsockname()[1]), str(threads))
    if list(shortfalls(said["in_force"])):
        pytest.skip(f"not all of it is in force here: {said['in_force']}")
    assert said["works"]
    assert {name: how for name, how in said["outcome"].items() if how == "done"} == {}
    assert model.exists()
    assert [path.name for path in model.parent.iterdir()] == [model.name]


def _run(*arguments: str) -> Any:
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True,
        env=child.environment(),
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr.decode()
    return json.loads(finished.stdout)


LANDLOCK_ALONE = """
import os, sys
from agent.worker.sandbox import child
from agent.worker.sandbox import landlock
child.forbid_new_privileges()
opened = open(sys.argv[1], "rb")
print(landlock.give_up())
for mode in ("rb", "wb"):
    try:
        open(sys.argv[1], mode)
        print(mode, "done")
    except PermissionError:
        print(mode, "refused")
print(len(opened.read()) > 0)
"""


@pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
def test_landlock_holds_without_seccomp(model: Path) -> None:
    output = subprocess.check_output([sys.executable, "-c", LANDLOCK_ALONE, str(model)], text=True)
    assert output == "True\nrb refused\nwb refused\nTrue\n"


def test_what_is_not_in_force_is_said_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "forbid_new_privileges", lambda: None)
    monkeypatch.setattr(child, "leave_no_core", lambda: None)
    monkeypatch.setattr(system_calls, "load", lambda: None)
    monkeypatch.setattr(landlock, "give_up", lambda: False)
    monkeypatch.setattr("agent.worker.sandbox.confinement.take_network_away", lambda: False)
    confinement = Confinement()
    confinement.leave_network()
    confinement.close_off()
    assert all(holds.startswith(NONE) for holds in confinement.in_force.values())
    said = "; ".join(shortfalls(confinement.in_force))
    assert "libseccomp2" in said
    assert "this kernel has no Landlock" in said


def test_a_refusal_of_the_kernel_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "forbid_new_privileges", lambda: None)
    monkeypatch.setattr(child, "leave_no_core", lambda: None)

    def refused() -> bool:
        raise PermissionError(1, "landlock: Operation not permitted")

    monkeypatch.setattr(landlock, "give_up", refused)
    monkeypatch.setattr(system_calls, "load", lambda: None)
    confinement = Confinement()
    confinement.close_off()
    assert "not permitted" in confinement.in_force["filesystem"]
