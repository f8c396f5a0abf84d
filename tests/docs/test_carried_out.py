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

DEMO = (
    "tests/system/test_demo.py::test_every_step_of_the_demo_holds_and_it_can_be_kept_until_ctrl_c"
)
INSPECTED = (
    "tests/system/test_updates.py::test_the_inspecting_commands_answer_for_people_and_scripts"
)
WENT_BACK = "tests/system/test_operator.py::test_going_back_sticks_until_the_release_is_tried_again"
COMPARED = (
    "tests/provisioning/test_compare_command.py::"
    "test_two_releases_are_compared_on_the_devices_that_ran_them"
)
PROMOTED = (
    "tests/provisioning/test_promote_command.py::"
    "test_a_good_canary_goes_to_production_and_other_programs_stay"
)
PULLED = (
    "tests/provisioning/test_samples_pull.py::"
    "test_pictures_arrive_whole_with_all_that_is_known_of_them"
)
SAMPLES = "tests/agent/samples/test_store.py::"
RETRAINED = "tests/examples/test_retrain_pipeline.py::"
TO_PRODUCTION = f"{RETRAINED}test_a_better_model_goes_from_the_samples_to_production_by_itself"
BOTH_SITES = f"{RETRAINED}test_each_site_gets_the_model_that_is_better_there"
WALKS = "tests/docs/test_walks.py::"
TUTORIAL_WALK = f"{WALKS}test_the_tutorial_and_what_follows_it_hold_line_by_line"
SERVICES = "tests/vm/test_services.py::"
INSTALLED = f"{SERVICES}test_it_installs_without_a_network"
UPGRADED = f"{SERVICES}test_an_upgrade_in_the_middle_of_a_download_loses_nothing"
PROVED = "tests/prove/test_prove.py::"

ELSEWHERE: dict[Key, tuple[str, ...]] = {
    ("README.md", "make demo"): (DEMO,),
    ("README.md", "edgeferry status"): (
        INSPECTED,
        "tests/system/test_operator.py::"
        "test_why_a_worse_release_was_left_is_told_while_nothing_runs",
        "tests/system/test_doctor.py::test_a_working_device_is_found_healthy_and_a_broken_one_is_not",
        "tests/system/test_updates.py::test_a_held_release_waits_on_disk_until_it_is_let_go",
        WENT_BACK,
    ),
    ("README.md", "edgeferry publish"): (TUTORIAL_WALK, COMPARED, PROMOTED),
    ("README.md", "make wheelhouse"): (INSTALLED, f"{WALKS}test_provisioning_holds_line_by_line"),
    ("demo/README.md", "python -m demo.training.measure"): (
        "tests/demo/test_committed_models.py::test_a_model_is_as_often_right_as_the_readme_says",
    ),
    ("docs/active-learning.md", "edgeferry samples pull"): (PULLED,),
    ("docs/active-learning.md", "edgeferry publish"): (TO_PRODUCTION,),
    ("docs/air-gapped.md", "sudo ./install.sh"): (INSTALLED,),
    ("docs/benchmarks.md", "make bench"): tuple(
        f"tests/bench/test_{name}_bench.py::test_a_tiny_run_{has}"
        for name, has in (
            ("download", "has_a_row_for_everything"),
            ("swap", "has_a_row_for_everything"),
            ("inference", "has_a_row_for_everything"),
            ("fleet", "holds_both_fleets_and_has_a_row_for_everything"),
            ("footprint", "has_a_row_for_everything"),
        )
    ),
    ("docs/compare-and-promote.md", "edgeferry compare"): (COMPARED,),
    ("docs/compare-and-promote.md", "edgeferry deploy"): (PROMOTED,),
    ("docs/delta-format.md", "tail"): (
        "tests/protocol/test_delta.py::test_an_independent_decoder_reads_the_frame",
    ),
    ("docs/install.md", "sudo apt-get"): (INSTALLED,),
    ("docs/install.md", "sudo install"): (
        f"{SERVICES}test_with_credentials_it_serves_what_is_deployed",
    ),
    ("docs/install.md", "sudo ./install.sh"): (
        UPGRADED,
        f"{SERVICES}test_an_upgrade_that_does_not_start_is_taken_back",
        f"{SERVICES}test_it_leaves_nothing_but_what_is_mine",
    ),
    ("docs/provisioning.md", "openssl req"): (
        "tests/provisioning/test_token_keys.py::test_a_request_made_in_a_token_is_signed",
    ),
    ("docs/reference/disk-layout.md", "sqlite3"): (TUTORIAL_WALK,),
    ("docs/reliability.md", "make prove"): (
        f"{PROVED}test_what_a_power_cut_leaves_is_something_to_go_on_from",
    ),
    ("docs/reliability.md", ".venv/bin/python -m tests.fuzz"): (
        f"{PROVED}test_bytes_from_outside_do_nothing_unforeseen",
    ),
    ("docs/remote-calls.md", "curl"): (
        "tests/system/test_from_afar.py::"
        "test_a_worker_restarted_from_afar_goes_by_the_settings_again",
    ),
    ("docs/samples.md", "edgeferry samples"): (
        f"{SAMPLES}test_the_list_is_for_people_and_for_scripts",
        f"{SAMPLES}test_an_export_from_the_command_line",
        f"{SAMPLES}test_samples_are_deleted_by_id_age_and_release",
    ),
    ("docs/signing.md", "jq"): (
        "tests/protocol/test_signing.py::test_the_commands_of_the_documentation_verify_it",
    ),
    ("docs/tutorial.md", "make demo"): (DEMO,),
    ("docs/upgrade.md", "sudo ./install.sh"): (UPGRADED,),
    ("examples/per-site/README.md", ".venv/bin/python"): (BOTH_SITES,),
    ("examples/per-site/README.md", "for site"): (BOTH_SITES,),
    ("examples/per-site/README.md", ".venv/bin/edgeferry"): (COMPARED,),
    ("examples/retrain-pipeline/README.md", ".venv/bin/python"): (TO_PRODUCTION,),
    ("examples/retrain-pipeline/README.md", "cd /tmp"): (TO_PRODUCTION,),
}
"""The tests that do what the block says, in their own words."""

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


@pytest.mark.parametrize("test", sorted({each for tests in ELSEWHERE.values() for each in tests}))
def test_the_tests_that_carry_them_out_are_there(test: str) -> None:
    file, name = test.split("::")
    assert f"def {name}(" in (ROOT / file).read_text()


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
