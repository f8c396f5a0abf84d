"""Where the API key and the passphrase come from, and where they never go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked

from provisioning.errors import WrongUsage
from provisioning.operator_secrets import Passphrase, api_key, read_secret


class Drawer(KeyringBackend):
    """A keyring in memory; locked, it opens for nobody."""

    priority = 1

    def __init__(self, *, locked: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._locked = locked
        self._kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        if self._locked:
            raise KeyringLocked("the desktop is locked")
        return self._kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._kept[service, username] = password


@pytest.fixture(autouse=True)
def drawer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drawer]:
    monkeypatch.delenv("GOLIOTH_API_KEY", raising=False)
    before, drawer = keyring.get_keyring(), Drawer()
    keyring.set_keyring(drawer)
    yield drawer
    keyring.set_keyring(before)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text("of the file\n")
    return path


def test_the_environment_goes_before_the_file_and_that_before_the_keyring(
    file: Path, drawer: Drawer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawer.set_password("edgeferry", "warehouse", "of the keyring")
    assert api_key(None, "warehouse") == "of the keyring"
    assert api_key(file, "warehouse") == "of the file"
    monkeypatch.setenv("GOLIOTH_API_KEY", "of the environment")
    assert api_key(file, "warehouse") == "of the environment"


@pytest.mark.parametrize("backend", [NoKeyring, Drawer])
def test_without_a_key_all_ways_to_give_one_are_told(backend: type[KeyringBackend]) -> None:
    keyring.set_keyring(backend())
    with pytest.raises(WrongUsage, match=r"GOLIOTH_API_KEY.*keyring set edgeferry warehouse"):
        api_key(None, "warehouse")


def test_a_locked_keyring_is_no_missing_key() -> None:
    keyring.set_keyring(Drawer(locked=True))
    with pytest.raises(WrongUsage, match="the desktop is locked"):
        api_key(None, "warehouse")


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"secret\n", 0o640, "chmod 600"),
        (b"\n", 0o600, "as its one line"),
        (b"one\ntwo\n", 0o600, "as its one line"),
        (b"\xff\n", 0o600, "is no text"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(
    file: Path, content: bytes, mode: int, said: str
) -> None:
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(WrongUsage, match=said) as raised:
        read_secret(file)
    assert "secret\n" not in str(raised.value)


def test_a_passphrase_is_in_no_representation(file: Path) -> None:
    passphrase = Passphrase(file)
    assert passphrase(file) == b"of the file"
    assert "of the file" not in repr(passphrase)
