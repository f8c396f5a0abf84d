from __future__ import annotations

import json

import pytest

from tests.pythons.conftest import Environment

pytestmark = [pytest.mark.pythons, pytest.mark.timeout(1200)]


def test_what_it_installs_fits_together(environment: Environment) -> None:
    environment.run("pip", "check")


def test_the_command_answers(environment: Environment) -> None:
    assert "rollback" in environment.run("edgeferry", "--help").stdout
    assert "[golioth]" in environment.run("edgeferry", "example-config").stdout


def test_a_device_without_credentials_is_told_what_to_do(environment: Environment) -> None:
    config = environment.folder / "agent.toml"
    config.write_text(f'[device]\nstate_dir = "{environment.folder}/state"\n')
    asked = ("--config", config)
    assert "has not run yet" in environment.run("edgeferry", "status", *asked, status=1).stderr
    findings = json.loads(environment.run("edgeferry", "doctor", *asked, "--json", status=1).stdout)
    assert findings


def test_the_local_cloud_says_which_extra_it_needs(environment: Environment) -> None:
    said = environment.run("edgeferry", "cloud", status=2).stderr
    assert "pip install 'edgeferry[cloud]'" in said


def test_the_demo_holds(environment: Environment) -> None:
    """Local cloud, agent with a certificate, worker: eight steps with real models."""
    environment.install("[cloud,operator]")
    steps = json.loads(environment.run("edgeferry", "demo", "--json").stdout)
    assert len(steps) == 8
    assert [step for step in steps if not step["held"]] == []
