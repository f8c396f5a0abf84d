"""The doctor's command line: what is shown and the exit status."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from agent.commands.device import device_app


def doctor(config: Path, *options: str) -> tuple[int, str]:
    ended = CliRunner().invoke(device_app(), ["doctor", "--config", str(config), *options])
    return ended.exit_code, ended.stdout


def test_a_configuration_that_can_not_be_used_is_all_that_is_said(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text("[golioth]\nurl = 1\n")
    status, shown = doctor(config)
    assert status == 1
    assert "did you mean uri" in shown
    assert "The rest was not examined" in shown


def test_a_psk_that_everybody_may_read_is_a_warning(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    lines = ['psk_id = "a@b"', 'psk = "secret-of-a-device"', 'uri = "coaps://127.0.0.1:1"']
    config.write_text("\n".join(["[golioth]", *lines, "[device]", f'state_dir = "{tmp_path}"']))
    config.chmod(0o644)
    status, shown = doctor(config)
    assert status == 1, "there is no cloud, no worker"
    assert "every user of this machine" in shown
    assert "-> run: chmod 0640" in shown
    assert "secret-of-a-device" not in shown
