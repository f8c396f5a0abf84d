"""Whatever command a page shows is carried out by a test, or stands here with why it is not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.markdown_pages import ROOT, Block, blocks, pages
from tests.docs.reader import Reader
from tests.docs.test_walks import WALKED

Key = tuple[str, str]
"""A page, and how the first command of one of its blocks begins."""

NO_COMMANDS: set[Key] = {
    ("README.md", "┏"),
    ("docs/delta-format.md", "93 45 46 44"),
    ("docs/golden-set.md", "<label>/"),
    ("docs/reference/disk-layout.md", "state.db "),
    ("docs/remote-calls.md", "[remote]"),
    ("docs/signing.md", "DSSEv1 <length"),
}
"""Blocks without a language that are something else."""

API_CALLS: set[Key] = {
    ("docs/device-state.md", "curl --json"),
    ("docs/device-state.md", "curl -H"),
    ("docs/settings.md", "curl --json"),
}
OPERATORS: set[Key] = {
    ("docs/golioth.md", "edgeferry fleet"),
    ("docs/golioth.md", "edgeferry provision enroll bench-1"),
    ("docs/air-gapped.md", "export EDGEFERRY_OPERATOR"),
}

ELSEWHERE: dict[Key, str] = {
    ("README.md", "make demo"): "tests/system/test_demo.py",
    ("README.md", "edgeferry status"): "tests/system/test_operator.py",
    ("README.md", "edgeferry publish"): "tests/examples/test_retrain_pipeline.py",
    ("README.md", "make wheelhouse"): "tests/vm/test_services.py",
    ("demo/README.md", "python -m demo.training.measure"): "tests/demo/test_committed_models.py",
    (
        "docs/active-learning.md",
        "edgeferry samples pull",
    ): "tests/provisioning/test_samples_pull.py",
    ("docs/active-learning.md", "edgeferry publish"): "tests/examples/test_retrain_pipeline.py",
    ("docs/air-gapped.md", "sudo ./install.sh"): "tests/vm/test_services.py",
    ("docs/benchmarks.md", "make bench"): "tests/bench/test_download_bench.py",
    ("docs/compare-and-promote.md", "edgeferry compare"): (
        "tests/provisioning/test_compare_command.py"
    ),
    ("docs/compare-and-promote.md", "edgeferry deploy"): (
        "tests/provisioning/test_promote_command.py"
    ),
    ("docs/delta-format.md", "tail"): "tests/protocol/test_delta.py",
    ("docs/install.md", "sudo apt-get"): "tests/vm/test_services.py",
    ("docs/install.md", "sudo install"): "tests/vm/test_services.py",
    ("docs/install.md", "sudo ./install.sh"): "tests/vm/test_services.py",
    ("docs/provisioning.md", "openssl req"): "tests/provisioning/test_token_keys.py",
    ("docs/reference/disk-layout.md", "sqlite3"): "tests/docs/test_walks.py",
    ("docs/reliability.md", "make prove"): "tests/prove/test_prove.py",
    ("docs/reliability.md", ".venv/bin/python -m tests.fuzz"): "tests/prove/test_prove.py",
    ("docs/remote-calls.md", "curl"): "tests/system/test_from_afar.py",
    ("docs/samples.md", "edgeferry samples"): "tests/agent/samples/test_store.py",
    ("docs/signing.md", "jq"): "tests/protocol/test_signing.py",
    ("docs/tutorial.md", "make demo"): "tests/system/test_demo.py",
    ("docs/upgrade.md", "sudo ./install.sh"): "tests/vm/test_services.py",
    ("examples/per-site/README.md", ".venv/bin/python"): "tests/examples/test_retrain_pipeline.py",
    ("examples/per-site/README.md", "for site"): "tests/examples/test_retrain_pipeline.py",
    ("examples/per-site/README.md", ".venv/bin/edgeferry"): (
        "tests/examples/test_retrain_pipeline.py"
    ),
    ("examples/retrain-pipeline/README.md", ".venv/bin/python"): (
        "tests/examples/test_retrain_pipeline.py"
    ),
    ("examples/retrain-pipeline/README.md", "cd /tmp"): "tests/examples/test_retrain_pipeline.py",
}
"""The test that does what the block says, in its own words."""

FROM_PYPI = "it downloads hundreds of megabytes from PyPI"
OF_EDGE_IMPULSE = "the program is Edge Impulse's, and asks for an account there"
NOT_CARRIED_OUT: dict[Key, str] = {
    ("demo/README.md", "python3.11 -m venv"): "it takes TensorFlow and 25 minutes",
    ("docs/active-learning.md", "cd round-3"): OF_EDGE_IMPULSE,
    ("docs/air-gapped.md", "make wheelhouse"): FROM_PYPI,
    ("docs/air-gapped.md", "python3 -m venv"): "it takes that wheelhouse, and the site's network",
    ("docs/install.md", "make wheelhouse"): FROM_PYPI,
    ("docs/preview-and-metrics.md", "ssh"): "it takes a second machine",
    ("docs/provisioning.md", "systemd-creds"): "it takes a system with systemd and a TPM",
    ("docs/raspberry-pi.md", "make wheelhouse"): FROM_PYPI,
    ("docs/reliability.md", "apt-get install qemu"): "it takes root, QEMU and hours",
    ("docs/samples.md", "cd ~/round-3"): OF_EDGE_IMPULSE,
    ("docs/tutorial.md", "export PATH"): "it is for the terminal of whoever reads",
}
"""What is only read: the commands are there and their words are right."""


def shown() -> Iterator[tuple[str, Block]]:
    """Every block of commands that is not typed line by line, with its page."""
    for page in pages():
        name = str(page.relative_to(ROOT))
        for block in blocks(page):
            if block.language not in ("", "console", "sh"):
                continue
            if page in WALKED and block.language == "console" and block.walked:
                continue
            if not any(_is(name, block, key) for key in NO_COMMANDS):
                yield name, block


def _is(page: str, block: Block, key: Key) -> bool:
    return page == key[0] and next(block.commands(), "").startswith(key[1])


def test_every_command_is_carried_out_or_says_why_not() -> None:
    known = [*API_CALLS, *OPERATORS, *ELSEWHERE, *NOT_CARRIED_OUT]
    found = list(shown())
    for page, block in found:
        fitting = [key for key in known if _is(page, block, key)]
        assert len(fitting) == 1, f"{block}: in {len(fitting)} of the lists"
    for key in known:
        assert any(_is(page, block, key) for page, block in found), f"no page shows {key}"


@pytest.mark.parametrize("test", sorted(set(ELSEWHERE.values())))
def test_the_tests_that_carry_them_out_are_there(test: str) -> None:
    assert (ROOT / test).is_file()


@pytest.fixture
def at_a_cloud(reader: Reader) -> Reader:
    """Who has a local cloud and one device in it."""
    reader.type("edgeferry cloud --data cloud --project warehouse &")
    reader.type("export EDGEFERRY_OPERATOR=$PWD/cloud/operator.toml")
    reader.type("edgeferry provision enroll camera-1 --psk --cohort cameras")
    return reader


@pytest.mark.system
def test_what_operators_do_holds_at_a_local_cloud(at_a_cloud: Reader) -> None:
    for key in sorted(OPERATORS):
        (block,) = [block for page, block in shown() if _is(page, block, key)]
        for line in block.commands():
            here = line.replace("/srv/edgeferry", "$PWD/cloud")  # where this reader's cloud is
            at_a_cloud.type(here.replace("edgeferry/bin/edgeferry", "edgeferry"))
    fleet = at_a_cloud.run("fleet", "--json").document["devices"]
    assert {device["name"] for device in fleet} == {"bench-1", "camera-1", "camera-2"}


@pytest.mark.system
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_calls_of_the_management_api_hold_at_a_local_cloud(at_a_cloud: Reader) -> None:
    answers = {}
    for key in sorted(API_CALLS, key=lambda key: "--json" not in key[1]):
        (block,) = [block for page, block in shown() if _is(page, block, key)]
        answers[key] = called(at_a_cloud, block.text)
    assert answers["docs/settings.md", "curl --json"]["data"]["key"] == "UPDATE_WINDOW_FRAMES"
    state = answers["docs/device-state.md", "curl -H"]["data"]
    assert state == {"desired": {"hold": "activation"}}


def called(reader: Reader, lines: str) -> Any:
    """What the API answers to a call, with the reader's device and key."""
    file = Path(reader.variables["EDGEFERRY_OPERATOR"])
    operator = tomllib.loads(file.read_text())
    (device,) = reader.run("fleet", "--json").document["devices"]
    named = {
        "API": operator["url"],
        "PROJECT": operator["project"],
        "KEY": (file.parent / operator["api_key_file"]).read_text().strip(),
        "DEVICE": device["id"],
    }
    curl = 'curl() { command curl --fail-with-body --silent --show-error --noproxy "*" "$@"; }\n'
    done = subprocess.run(
        ["bash", "-euc", curl + lines],
        env={**os.environ, **named},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{lines}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)
