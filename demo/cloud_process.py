"""A local cloud as a process of its own, which may be killed and started again."""

from __future__ import annotations

import errno
import json
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from demo.stage import EDGEFERRY, Process, StageError

_LASTING_PORTS = range(10_000, 20_000)


def lasting_port(kind: socket.SocketKind) -> int:
    """A free port on loopback that nobody else is given while its owner is being restarted.

    It lies below those that Linux gives to whoever asks for any, unless told otherwise
    (``net.ipv4.ip_local_port_range``).
    """
    while True:
        port = secrets.choice(_LASTING_PORTS)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return port


@dataclass(frozen=True)
class CloudAddress:
    """Where a running local cloud is and how to enter it."""

    coap: str
    http: str
    project: str
    organization: str
    api_key: str
    server_ca: Path
    operator_file: Path

    @property
    def gateway(self) -> tuple[str, int]:
        """Host and UDP port of ``coap``."""
        parts = urlsplit(self.coap)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port


class CloudProcess:
    """A local cloud over ``folder``; started again, it keeps its data and its ports."""

    def __init__(
        self, folder: Path, *, rate_limit: float, program: tuple[str, ...] = EDGEFERRY
    ) -> None:
        self._folder = folder
        self._rate_limit = rate_limit
        self._program = program
        self._ports = (lasting_port(socket.SOCK_DGRAM), lasting_port(socket.SOCK_STREAM))
        self.process: Process
        self.address: CloudAddress

    def start(self) -> CloudAddress:
        """Start it and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        coap, http = map(str, self._ports)
        options = ("--data", str(self._folder), "--coap-port", coap, "--http-port", http)
        rate = ("--rate-limit", str(self._rate_limit), "--json")
        log = self._folder / "cloud.log"
        self.process = Process(("cloud", *options, *rate), log, {}, self._program)
        line = self.process.first_line()
        if not line:
            raise StageError(f"the local cloud did not start\n{self.process.log_tail()}")
        said = json.loads(line)
        self.address = CloudAddress(
            coap=said["coap"],
            http=said["http"],
            project=said["project"],
            organization=said["organization"],
            api_key=Path(said["api_key_file"]).read_text().strip(),
            server_ca=Path(said["server_ca"]),
            operator_file=Path(said["operator_file"]),
        )
        return self.address
