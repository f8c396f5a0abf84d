"""Writing key and certificate files so that they are whole or absent, and never lost.

The content is written and synced under a passing name of its own, then linked to the final one:
a power cut leaves no half file, and an existing file is never replaced unless asked for.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from provisioning.errors import PkiError, WouldOverwrite

SECRET = 0o600
PUBLIC = 0o644


def write(path: Path, content: bytes, mode: int, *, overwrite: bool = False) -> None:
    """Write ``content`` durably with permissions ``mode``; missing folders are made.

    Raises:
        WouldOverwrite: ``path`` is there already and ``overwrite`` is False.
        PkiError: the file can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content, mode, overwrite)
    except FileExistsError as error:
        raise WouldOverwrite(path) from error
    except OSError as error:
        raise PkiError(
            f"{path} can't be written: {error.strerror}; check folder and disk"
        ) from error


def write_folder(folder: Path, contents: Mapping[str, tuple[bytes, int]]) -> None:
    """Write a whole folder of files, each with its mode, durably; the folder is mode 0700.

    Raises:
        WouldOverwrite: ``folder`` is there already.
        PkiError: it can't be written.
    """
    if folder.exists():
        raise WouldOverwrite(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _write_folder(folder, contents)
    except OSError as error:
        raise PkiError(
            f"{folder} can't be written: {error.strerror}; check folder and disk"
        ) from error


def rename(path: Path, new: Path) -> None:
    """Move a file or folder aside within its parent, durably.

    Raises:
        WouldOverwrite: ``new`` is there already.
        PkiError: it can't be moved.
    """
    if new.exists():
        raise WouldOverwrite(new)
    try:
        path.rename(new)
        _sync_folder(new.parent)
    except OSError as error:
        raise PkiError(f"{path} can't be moved to {new}: {error.strerror}") from error


def read(path: Path, next_step: str) -> bytes:
    """The content of ``path``.

    Raises:
        PkiError: it can't be read; the message ends with ``next_step``.
    """
    try:
        return path.read_bytes()
    except PermissionError as error:
        raise PkiError(
            f"{path} can't be read: {error.strerror}; run this as its owner, or check its mode"
        ) from error
    except OSError as error:
        raise PkiError(f"{path} can't be read: {error.strerror}; {next_step}") from error


def read_if_there(path: Path, next_step: str) -> bytes | None:
    """The same, None where there is no such file."""
    try:
        return read(path, next_step)
    except PkiError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def is_there(path: Path) -> bool:
    """Whether there is such a file; False also where nothing may be looked at.

    Whoever then reads or writes it is told why that can't be.
    """
    try:
        return path.exists()
    except OSError:
        return False


def _write(path: Path, content: bytes, mode: int, overwrite: bool) -> None:
    descriptor, passing = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
    try:
        _fill(descriptor, content, mode)
        if overwrite:
            Path(passing).replace(path)
        else:
            path.hardlink_to(passing)
    finally:
        Path(passing).unlink(missing_ok=True)
    _sync_folder(path.parent)


def _write_folder(folder: Path, contents: Mapping[str, tuple[bytes, int]]) -> None:
    passing = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))  # 0700
    try:
        for name, (content, mode) in contents.items():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            _fill(os.open(passing / name, flags, 0o600), content, mode)
        _sync_folder(passing)
        passing.rename(folder)
    except BaseException:
        shutil.rmtree(passing, ignore_errors=True)
        raise
    _sync_folder(folder.parent)


def _fill(descriptor: int, content: bytes, mode: int) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
