"""Where the operator's secrets come from: the API key, and the passphrases of private keys.

Never from an option's value, which everyone on the machine could read in the list of processes.
"""

from __future__ import annotations

import getpass
import os
import stat
import sys
from pathlib import Path

from provisioning import files
from provisioning.errors import PkiError, WrongUsage

API_KEY_VARIABLE = "GOLIOTH_API_KEY"
PASSPHRASE_VARIABLE = "EDGEFERRY_CA_PASSPHRASE"  # noqa: S105 - its name
SIGNING_VARIABLE = "EDGEFERRY_SIGNING_PASSPHRASE"
KEYRING_SERVICE = "edgeferry"
_SHORTEST_PASSPHRASE = 8


def api_key(file: Path | None, project: str) -> str:
    """The API key: of the environment, of ``file``, or of the desktop's keyring.

    In the keyring it is the password of service ``edgeferry`` and user ``project``.

    Raises:
        WrongUsage: it is in none of them, or the file can't be used.
    """
    found = os.environ.get(API_KEY_VARIABLE) or (read_secret(file) if file else None)
    if not found:
        found = _from_keyring(project)
    if not found:
        raise WrongUsage(
            f"no API key for project {project}: set {API_KEY_VARIABLE}, name its file with "
            f"--api-key-file or api_key_file, or keep it with: keyring set edgeferry {project}"
        )
    return found.strip()


class Passphrase:
    """A passphrase: of ``file``, of the environment, or asked for, once.

    ``variable`` and ``option`` are the names of the other ways to give it.
    """

    def __init__(
        self,
        file: Path | None,
        variable: str = PASSPHRASE_VARIABLE,
        option: str = "--passphrase-file",
    ) -> None:
        self._file = file
        self._variable = variable
        self._option = option
        self._known: bytes | None = None

    def __repr__(self) -> str:
        return "<Passphrase>"

    def __call__(self, key: Path) -> bytes:
        """The passphrase of an existing key. Raises WrongUsage when there is no way to know it."""
        if self._known is None:
            self._known = self._given() or self._ask(f"Passphrase of {key}: ")
        return self._known

    def choose(self, key: Path) -> bytes:
        """A passphrase for a new key, asked for twice. Raises WrongUsage for an unfit one."""
        chosen = self._given()
        if not chosen:
            chosen = self._ask(f"New passphrase for {key}: ")
            if self._ask("The same again: ") != chosen:
                raise WrongUsage("the two passphrases differ; nothing was made")
        if len(chosen) < _SHORTEST_PASSPHRASE:
            raise WrongUsage(f"the passphrase is shorter than {_SHORTEST_PASSPHRASE} bytes")
        self._known = chosen
        return chosen

    def _given(self) -> bytes:
        text = read_secret(self._file) if self._file else os.environ.get(self._variable, "")
        return text.encode()

    def _ask(self, prompt: str) -> bytes:
        if not sys.stdin.isatty():
            raise WrongUsage(
                f"{prompt.rstrip(': ')}: there is no terminal to ask at; give {self._option} or "
                f"set {self._variable}"
            )
        return getpass.getpass(prompt).encode()


def signing_passphrase(file: Path | None) -> Passphrase:
    """That of a signing key."""
    return Passphrase(file, SIGNING_VARIABLE, "--signing-passphrase-file")


def read_secret(path: Path) -> str:
    """The one line of a file that nobody but its owner may read.

    Raises:
        WrongUsage: it can't be read, others can read it too, or it is empty or no text.
    """
    try:
        content = files.read(path, "check the path")
    except PkiError as error:
        raise WrongUsage(str(error)) from error
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise WrongUsage(f"{path} holds a secret that others may read; run: chmod 600 {path}")
    try:
        secret = content.decode().strip()
    except UnicodeDecodeError as error:
        raise WrongUsage(f"{path} is no text; write the secret into it as one line") from error
    if not secret or "\n" in secret:
        raise WrongUsage(f"{path} must hold the secret as its one line")
    return secret


def _from_keyring(project: str) -> str | None:
    """None also where the library is not installed or the machine has no keyring."""
    try:
        import keyring
        from keyring.errors import KeyringError, NoKeyringError
    except ImportError:
        return None
    try:
        return keyring.get_password(KEYRING_SERVICE, project)
    except NoKeyringError:
        return None
    except KeyringError as error:
        raise WrongUsage(f"the keyring does not answer: {error}; use another source") from error
