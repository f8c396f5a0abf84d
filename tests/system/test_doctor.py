"""``edgeferry doctor`` and ``diag`` beside a working device, and beside a broken one."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.json_outputs import read_output
from tests.support.waiting import PATIENCE
from tests.system.conftest import Bench

pytestmark = pytest.mark.system


def doctor(bench: Bench, *options: str) -> tuple[int, dict[str, list[Any]]]:
    """The exit status, and the texts of each level."""
    ended = bench.edgeferry("doctor", "--json", *options)
    findings = read_output(["doctor"], ended.stdout)["findings"]
    by_level: dict[str, list[Any]] = {"ok": [], "warning": [], "error": []}
    for finding in findings:
        by_level[finding["level"]].append(f"{finding['group']}: {finding['text']}")
    return ended.returncode, by_level


def test_a_working_device_is_found_healthy_and_a_broken_one_is_not(bench: Bench) -> None:
    found = bench.certificate(bench.folder / "own", trusted=True)
    bench.configure(**found)
    bench.device.start("worker")
    bench.device.start("run")
    bench.fleet.adopt("own", PATIENCE)
    bench.deploy("1")
    bench.await_served("1")

    status, healthy = doctor(bench)
    assert (status, healthy["error"]) == (0, [])
    assert "network: the running agent is connected" in healthy["ok"]
    groups = {text.partition(":")[0] for texts in healthy.values() for text in texts}
    assert {"credentials", "clock", "server roots", "disk", "journal", "runtime"} <= groups
    assert bench.device.inspect(lambda inspector: inspector.status())["connected"]

    no_secret_leaves(bench, Path(str(found["private_key"])))

    bench.device.worker.stop()
    bench.device.agent.stop()
    Path(str(found["certificate"])).unlink()
    status, broken = doctor(bench)
    assert status == 1
    assert any("no such file" in text for text in broken["error"])
    assert any(text.startswith("worker: ") for text in broken["error"])


def no_secret_leaves(bench: Bench, key: Path) -> None:
    """The archive of a running device holds neither its key nor the operator's."""
    archive = bench.folder / "diag.tar.gz"
    ended = bench.edgeferry("diag", str(archive))
    assert ended.returncode == 0, ended.stderr
    secrets = [*key.read_bytes().splitlines()[1:-1], bench.cloud.address.api_key.encode()]
    with tarfile.open(archive) as opened:
        names = opened.getnames()
        for entry in opened:
            file = opened.extractfile(entry)
            assert file is not None
            content = file.read()
            assert not any(secret in content for secret in secrets), entry.name
    assert "diag/status.json" in names
    assert "diag/state.db" in names
