"""The configuration: one file, the environment above it, and errors that help."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import load_settings
from agent.credentials.sources import CertificateSource
from agent.errors import ConfigurationError
from protocol.credentials import PskCredential


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "agent.toml"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("GOLIOTH_PSK_ID", "GOLIOTH_PSK", "EDGEFERRY_GOLIOTH__URI", "CREDENTIALS_DIRECTORY")
    for name in names:
        monkeypatch.delenv(name, raising=False)


def test_defaults_are_golioths(config: Path) -> None:
    config.write_text("")
    settings = load_settings(config)
    assert settings.golioth.address == ("coap.golioth.io", 5684)
    assert settings.golioth.requests_per_second == 20
    assert settings.policy().required_packages == ("ai-model", "labels")


def test_the_environment_stands_above_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('[golioth]\nuri = "coaps://file.example"\npoll_seconds = 7\n')
    monkeypatch.setenv("EDGEFERRY_GOLIOTH__URI", "coaps://env.example:9999")
    settings = load_settings(config)
    assert settings.golioth.address == ("env.example", 9999)
    assert settings.golioth.poll_seconds == 7


def test_psk_comes_from_golioths_own_variables(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("")
    monkeypatch.setenv("GOLIOTH_PSK_ID", "dev@project")
    monkeypatch.setenv("GOLIOTH_PSK", "supersecret")
    settings = load_settings(config)
    assert settings.golioth.source().read() == PskCredential("dev@project", b"supersecret")
    assert "supersecret" not in repr(settings)


def test_the_key_may_be_in_a_file_of_its_own(config: Path, tmp_path: Path) -> None:
    (tmp_path / "psk").write_text("supersecret\n")
    (tmp_path / "psk").chmod(0o600)
    config.write_text(f'[golioth]\npsk_id = "dev@project"\npsk_file = "{tmp_path}/psk"\n')
    source = load_settings(config).golioth.source()
    assert source.read() == PskCredential("dev@project", b"supersecret")


def test_a_certificate_is_named_by_its_files(config: Path) -> None:
    config.write_text('[golioth]\ncertificate = "/c.pem"\nprivate_key = "/k.pem"\n')
    source = load_settings(config).golioth.source()
    assert source == CertificateSource(Path("/c.pem"), Path("/k.pem"), None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[golioth]\nurl = 'x'\n", "unknown key golioth.url; did you mean uri?"),
        ("[downlaod]\n", "unknown key downlaod; did you mean download?"),
        ("[worker]\nframes_per_secnd = 3\n", "did you mean frames_per_second?"),
        ("[golioth]\nuri = 'http://x'\n", "golioth.uri: Value error, 'http://x' is no coaps://"),
        ("[update]\nwindow_frames = 0\n", "update.window_frames: Input should be greater"),
        ("[golioth\n", "no valid TOML"),
        ("golioth = 3\n", "golioth: "),
    ],
)
def test_a_wrong_file_is_explained(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config)
    assert said in str(caught.value)
    assert str(config) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no credential; set certificate and private_key, or psk_id and psk_file"),
        ("certificate = '/c'", "belong together"),
        ("certificate = '/c'\nprivate_key = '/k'\npsk_id = 'a@b'", "not both"),
        ("psk_id = 'a@b'", "neither psk_file nor psk"),
        ("psk = 'secret'", "not whose it is"),
        ("psk_id = 'a@b'\npsk_file = 'credential:psk'", "needs systemd"),
        ("certificate = 'credential:a/b'\nprivate_key = '/k'", "names no credential"),
    ],
)
def test_a_device_without_credentials_is_told_what_to_set(
    config: Path, text: str, said: str
) -> None:
    config.write_text(f"[golioth]\n{text}\n")
    with pytest.raises(ConfigurationError, match=said):
        load_settings(config).golioth.source()


def test_a_missing_file_is_an_error_only_when_it_was_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--config"):
        load_settings(tmp_path / "none.toml")
