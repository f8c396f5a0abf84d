"""Packs: all that a device needs to connect, ready to be unpacked into its configuration folder.

::

    camera-12/                     or camera-12.tar.gz, owned by root, with the same modes
      agent.toml      0644         the agent's configuration, with the paths on the device
      client.crt.pem  0644         its certificate and what stands between that and the root
      client.key.pem  0600         its key, unless the device keeps that to itself
      psk             0600         instead of these two: the pre-shared key
      server-ca.pem   0644         whom it trusts as the cloud, unless its system's store does
"""

from __future__ import annotations

import io
import json
import tarfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from provisioning import files
from provisioning.certificates import pem
from provisioning.errors import PkiError, WrongUsage
from provisioning.key_pair import key_pem

CONFIGURATION = "agent.toml"
CERTIFICATE, KEY = "client.crt.pem", "client.key.pem"
PSK = "psk"
SERVER_CA = "server-ca.pem"
INSTALL_DIR = PurePosixPath("/etc/edgeferry")

_Contents: TypeAlias = dict[str, tuple[bytes, int]]


@dataclass(frozen=True)
class PackForm:
    """What all packs of a run have in common.

    ``server_ca`` is PEM, None for the device's system store; ``agent_settings`` is TOML without a
    [golioth] table. ``install_dir`` is where the pack will be on the device.
    """

    gateway: str
    server_ca: bytes | None = None
    agent_settings: str = ""
    install_dir: PurePosixPath = INSTALL_DIR

    @classmethod
    def read(
        cls,
        gateway: str,
        server_ca: Path | None,
        agent_settings: Path | None,
        install_dir: PurePosixPath,
    ) -> PackForm:
        """Read and check the files. Raises PkiError and WrongUsage, which name them."""
        if not install_dir.is_absolute():
            raise WrongUsage(f"{install_dir} must be an absolute path on the device")
        return cls(
            gateway,
            _read_bundle(server_ca) if server_ca else None,
            _read_settings(agent_settings) if agent_settings else "",
            install_dir,
        )


class Packs:
    """The packs in one folder; ``as_tar`` makes tarballs of new ones."""

    def __init__(self, folder: Path, form: PackForm, *, as_tar: bool = False) -> None:
        self._folder = folder
        self._form = form
        self._as_tar = as_tar

    def find(self, name: str) -> Path | None:
        """A device's pack in either form, None where there is none."""
        paths = (self._folder / name, self._folder / f"{name}.tar.gz")
        return next((path for path in paths if path.exists()), None)

    def certificate(self, name: str) -> x509.Certificate | None:
        """The certificate in a device's pack, None where there is no pack or it is one with a PSK.

        Raises:
            PkiError: the pack is damaged.
        """
        pack = self.find(name)
        content = None if pack is None else _member(pack, CERTIFICATE)
        try:
            return None if content is None else x509.load_pem_x509_certificate(content)
        except ValueError as error:
            raise PkiError(f"{pack} holds no readable certificate; move it away") from error

    def has_key(self, name: str) -> bool:
        """Whether a device's pack holds its private key."""
        pack = self.find(name)
        return pack is not None and _member(pack, KEY) is not None

    def psk(self, name: str) -> str | None:
        """The pre-shared key in a device's pack, None where there is none."""
        pack = self.find(name)
        content = None if pack is None else _member(pack, PSK)
        return None if content is None else content.decode("ascii", errors="replace").strip()

    def with_certificate(
        self,
        name: str,
        certificate: x509.Certificate,
        intermediates: Sequence[x509.Certificate],
        key: ec.EllipticCurvePrivateKey | None,
    ) -> Path:
        """Write a pack, without the key where the device has it. Raises WouldOverwrite, PkiError.

        The configuration names the key in either case, where ``device request`` puts it.
        """
        contents = {CERTIFICATE: (pem(certificate, *intermediates), files.PUBLIC)}
        if key is not None:
            contents[KEY] = (key_pem(key), files.SECRET)
        golioth = {"certificate": self._installed(CERTIFICATE), "private_key": self._installed(KEY)}
        until = f"certificate valid until {certificate.not_valid_after_utc:%Y-%m-%d}"
        return self._write(name, contents, golioth, until)

    def with_psk(self, name: str, identity: str, psk: str) -> Path:
        """Write a pack with a pre-shared key. Raises WouldOverwrite, PkiError."""
        contents = {PSK: (f"{psk}\n".encode(), files.SECRET)}
        golioth = {"psk_id": identity, "psk_file": self._installed(PSK)}
        return self._write(name, contents, golioth, "pre-shared key, for development")

    def set_aside(self, name: str, until: str) -> Path | None:
        """Move a device's pack aside, named by when its certificate ends; None: there was none."""
        pack = self.find(name)
        if pack is None:
            return None
        suffix = ".tar.gz" if pack.is_file() else ""
        aside = pack.with_name(f"{name}.until-{until}{suffix}")
        files.rename(pack, aside)
        return aside

    def _write(self, name: str, contents: _Contents, golioth: dict[str, str], remark: str) -> Path:
        if self._form.server_ca is not None:
            contents = {**contents, SERVER_CA: (self._form.server_ca, files.PUBLIC)}
            golioth = {**golioth, "server_ca": self._installed(SERVER_CA)}
        configuration = self._configuration(name, golioth, remark)
        contents = {CONFIGURATION: (configuration.encode(), files.PUBLIC), **contents}
        if self._as_tar:
            path = self._folder / f"{name}.tar.gz"
            files.write(path, _tarball(contents), files.SECRET)
        else:
            path = self._folder / name
            files.write_folder(path, contents)
        return path

    def _configuration(self, name: str, golioth: dict[str, str], remark: str) -> str:
        table = {"uri": self._form.gateway, **golioth}
        # JSON's text is TOML's too.
        lines = [f"# {name}: {remark}.", "[golioth]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        common = self._form.agent_settings
        return "\n".join(lines) + "\n" + (f"\n{common}" if common else "")

    def _installed(self, name: str) -> str:
        return str(self._form.install_dir / name)


def _tarball(contents: _Contents) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=6) as archive:
        for name, (content, mode) in contents.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), mode, int(time.time())
            member.uname = member.gname = "root"
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _member(pack: Path, name: str) -> bytes | None:
    """A file of a pack, None where it has none of that name."""
    try:
        if pack.is_dir():
            path = pack / name
            return path.read_bytes() if path.exists() else None
        with tarfile.open(pack, mode="r:gz") as archive:
            found = archive.extractfile(name)
            return None if found is None else found.read()
    except KeyError:
        return None
    except (OSError, EOFError, tarfile.TarError) as error:
        raise PkiError(f"{pack} can't be read: {error}; move it away") from error


def _read_bundle(path: Path) -> bytes:
    content = files.read(path, "name the CA bundle that vouches for the cloud")
    try:
        return pem(*x509.load_pem_x509_certificates(content))
    except ValueError as error:
        raise PkiError(f"{path} holds no PEM certificate; name a CA bundle") from error


def _read_settings(path: Path) -> str:
    try:
        text = path.read_text()
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WrongUsage(f"{path}: {error}; name a TOML file for the devices' agents") from error
    if "golioth" in table:
        raise WrongUsage(f"{path}: leave out [golioth]; each pack gets its own")
    return text if text.endswith("\n") else text + "\n"
