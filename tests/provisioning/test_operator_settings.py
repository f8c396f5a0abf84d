"""Where the operator's commands find things, and which source goes before which."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning.errors import WrongUsage
from provisioning.operator_settings import GOLIOTH_GATEWAY, GOLIOTH_URL, load_operator


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "operator.toml"
    path.write_text(text)
    return path


def test_golioth_is_meant_when_nothing_is_said(home: Path) -> None:
    settings = load_operator(project="warehouse")
    assert (settings.url, settings.device_gateway) == (GOLIOTH_URL, GOLIOTH_GATEWAY)
    assert settings.ca == home / ".local/share/edgeferry/ca"
    assert settings.pack_folder == settings.ca / "devices"


def test_an_option_goes_before_the_file_and_paths_start_at_the_file(home: Path) -> None:
    text = 'project = "of the file"\nca = "my-ca"\nserver_ca = "/abs/ca.pem"\npacks = "~/packs"\n'
    written(home / "config/edgeferry", text)
    settings = load_operator(project="of the option")
    assert settings.this_project == "of the option"
    assert settings.ca == home / "config/edgeferry/my-ca"
    assert (settings.server_ca, settings.packs) == (Path("/abs/ca.pem"), home / "packs")


def test_the_v1_of_an_address_is_not_said_twice() -> None:
    assert load_operator(url="https://api.example/v1/").url == "https://api.example"


def test_devices_of_another_cloud_are_not_sent_to_golioth() -> None:
    settings = load_operator(url="http://127.0.0.1:8080")
    with pytest.raises(WrongUsage, match="give --gateway"):
        _ = settings.device_gateway


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("projekt = 'x'", "unknown key projekt; did you mean project?"),
        ("url = 'ftp://x'", "operator.toml: url:"),
        ("days = 0", "operator.toml: days:"),
        ("project = ", "no valid TOML"),
        ("project = '\xff'", "operator.toml"),
    ],
)
def test_a_file_that_can_not_be_meant_is_named(home: Path, text: str, said: str) -> None:
    path = written(home, "")
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(WrongUsage) as raised:
        load_operator(path)
    assert said in str(raised.value)


def test_a_missing_file_matters_only_when_it_was_named(home: Path) -> None:
    load_operator()
    with pytest.raises(WrongUsage, match="name another file with --operator"):
        load_operator(home / "absent.toml")


def test_without_the_operator_extra_its_commands_say_what_to_install() -> None:
    script = (
        "import sys; sys.modules['httpx'] = None; sys.argv = ['edgeferry', 'fleet']\n"
        "from commands.main import main; main()"
    )
    environment = {**os.environ, "EDGEFERRY_PROJECT": "p", "GOLIOTH_API_KEY": "k"}
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.endswith("run: pip install 'edgeferry[operator]'\n")
