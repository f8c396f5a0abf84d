"""Packs: all that a device needs to connect, with the right names and modes.

::

    camera-12/                     or camera-12.tar.gz, owned by root, with the same modes
      agent.toml      0644         the agent's configuration
      edgeferry.crt   0644         its certificate and what stands between that and the root
      edgeferry.key   0600         its key, unless the device keeps that to itself
      edgeferry.psk   0600         instead of these two: the pre-shared key
      edgeferry.ca    0644         whom it trusts as the cloud, unless its system's store does

On a device with our units agent.toml belongs into /etc/edgeferry and the rest into /etc/credstore,
from where systemd hands it to the agent; a tarball holds these paths. Otherwise ``install_dir`` is
the one folder of them all, and agent.toml names the files there.
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
CERTIFICATE, KEY = "edgeferry.crt", "edgeferry.key"
PSK = "edgeferry.psk"
SERVER_CA = "edgeferry.ca"
CREDENTIAL_STORE = PurePosixPath("/etc/credstore")
CONFIGURATION_FOLDER = PurePosixPath("/etc/edgeferry")

_Contents: TypeAlias = dict[str, tuple[bytes, int]]


@dataclass(frozen=True)
class PackForm:
    """What all packs of a run have in common.

    ``server_ca`` is PEM, None for the device's system store; ``agent_settings`` is TOML without a
    [golioth] table. ``install_dir`` is where the pack will be on the device, None with our units.
    """

    gateway: str
    server_ca: bytes | None = None
    agent_settings: str = ""
    install_dir: PurePosixPath | None = None

    @property
    def how_to_install(self) -> str:
        """What is done with a pack on its device."""
        if self.install_dir is not None:
            return f"put each pack's files into {self.install_dir} on its device"
        return (
            f"on each device, as root: tar -xpf NAME.tar.gz -C /, or for a folder: agent.toml into "
            f"{CONFIGURATION_FOLDER}, edgeferry.* into {CREDENTIAL_STORE}"
        )

    def place(self, name: str) -> str:
        """Where a file is on the device."""
        if self.install_dir is not None:
            return str(self.install_dir / name)
        folder = CONFIGURATION_FOLDER if name == CONFIGURATION else CREDENTIAL_STORE
        return str(folder / name)

    def golioth_table(self, **files: str) -> dict[str, str]:
        """What agent.toml says of the cloud; our units' credentials are taken by themselves."""
        named = {} if self.install_dir is None else files
        return {"uri": self.gateway, **{key: self.place(name) for key, name in named.items()}}

    @classmethod
    def read(
        cls,
        gateway: str,
        server_ca: Path | None,
        agent_settings: Path | None,
        install_dir: PurePosixPath | None,
    ) -> PackForm:
        """Read and check the files. Raises PkiError and WrongUsage, which name them."""
        if install_dir is not None and not install_dir.is_absolute():
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

    @property
    def how_to_install(self) -> str:
        """What is done with a pack on its device."""
        return self._form.how_to_install

    def find(self, name: str) -> Path | None:
        """A device's pack in either form, None where there is none."""
        paths = (self._folder / name, self._folder / f"{name}.tar.gz")
        return next((path for path in paths if files.is_there(path)), None)

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
        """Write a pack, without the key where the device has it.

        Raises:
            WouldOverwrite: the device has one.
            PkiError: it can't be written.
        """
        contents = {CERTIFICATE: (pem(certificate, *intermediates), files.PUBLIC)}
        if key is not None:
            contents[KEY] = (key_pem(key), files.SECRET)
        golioth = self._form.golioth_table(certificate=CERTIFICATE, private_key=KEY)
        until = f"certificate valid until {certificate.not_valid_after_utc:%Y-%m-%d}"
        return self._write(name, contents, golioth, until)

    def with_psk(self, name: str, identity: str, psk: str) -> Path:
        """Write a pack with a pre-shared key. Raises WouldOverwrite, PkiError."""
        contents = {PSK: (f"{psk}\n".encode(), files.SECRET)}
        golioth = {**self._form.golioth_table(psk_file=PSK), "psk_id": identity}
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
            golioth |= self._form.golioth_table(server_ca=SERVER_CA)
        configuration = self._configuration(name, golioth, remark)
        contents = {CONFIGURATION: (configuration.encode(), files.PUBLIC), **contents}
        if self._as_tar:
            path = self._folder / f"{name}.tar.gz"
            placed = {self._member_name(n): content for n, content in contents.items()}
            files.write(path, _tarball(placed), files.SECRET)
        else:
            path = self._folder / name
            files.write_folder(path, contents)
        return path

    def _configuration(self, name: str, golioth: dict[str, str], remark: str) -> str:
        # JSON's text is TOML's too.
        lines = [f"# {name}: {remark}.", "[golioth]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in golioth.items()]
        common = self._form.agent_settings
        return "\n".join(lines) + "\n" + (f"\n{common}" if common else "")

    def _member_name(self, name: str) -> str:
        """In a tarball that is unpacked at / or, with an ``install_dir``, there."""
        return name if self._form.install_dir is not None else self._form.place(name).lstrip("/")


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
            members = (m for m in archive if PurePosixPath(m.name).name == name)
            found = next((archive.extractfile(member) for member in members), None)
            return None if found is None else found.read()
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
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise WrongUsage(f"{path}: {error}; name a TOML file for the devices' agents") from error
    if "golioth" in table:
        raise WrongUsage(f"{path}: leave out [golioth]; each pack gets its own")
    return text if text.endswith("\n") else text + "\n"
