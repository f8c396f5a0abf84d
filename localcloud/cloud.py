"""The whole cloud: storage, device gateway, management API and console in one event loop."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from localcloud.calls import Calls
from localcloud.changes import Changes
from localcloud.console.entrance import Console
from localcloud.errors import DataDirectoryError
from localcloud.gateway.certificate_requests import OwnAuthority
from localcloud.gateway.sessions import Sessions
from localcloud.gateway.site import Gateway
from localcloud.http_server import HttpServer
from localcloud.identifiers import slug
from localcloud.model import Project
from localcloud.rest.app import build_api
from localcloud.server_certificate import ensure_server_certificate
from localcloud.settings import CloudSettings
from localcloud.storage.store import Store
from localcloud.web import web_app
from protocol.credentials import ServerCredentials
from protocol.server import Server, serve


class LocalCloud:
    """A cloud over a data directory, running inside ``async with``.

    On the first start it makes a project, its organization, an API key and a server certificate.
    ``store`` may be used directly by programs in the same process and event loop.
    Raises DataDirectoryError, and OSError for a port that is taken.
    """

    def __init__(self, data_directory: Path, settings: CloudSettings | None = None) -> None:
        self.settings = settings or CloudSettings()
        self._directory = data_directory
        self._stack = AsyncExitStack()
        self.store: Store
        self.project: Project
        self.api_key: str
        self.api_key_file: Path
        self.server_ca: Path
        self._gateway: Server
        self._http: HttpServer

    @property
    def coap_address(self) -> tuple[str, int]:
        """Host and UDP port of the device gateway."""
        return self._gateway.address

    @property
    def coap_url(self) -> str:
        """The gateway's address as a URI."""
        return f"coaps://{_authority(self._gateway.address)}"

    @property
    def http_url(self) -> str:
        """Address of the console; the management API is below ``/v1``."""
        return f"http://{_authority(self._http.address)}"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            changes = Changes()
            self.store = Store(self._directory, changes)
            stack.callback(self.store.close)
            self._prepare_project()
            sessions = Sessions(self.store, changes)
            stack.callback(sessions.close)
            calls = Calls()
            self._gateway = await self._serve_devices(changes, calls, sessions)
            stack.push_async_callback(self._gateway.close)
            sessions.attach(self._gateway)
            largest = self.settings.max_artifact_bytes
            api = build_api(self.store, calls, max_artifact_bytes=largest)
            console = Console(self.store, sessions, calls, max_artifact_bytes=largest)
            stack.push_async_callback(console.close)
            app = web_app(api, console)
            self._http = HttpServer(app, self.settings.host, self.settings.http_port)
            stack.push_async_callback(self._http.close)
            await self._http.start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def add_project(self, name: str) -> tuple[Project, str]:
        """Another project in this cloud, and a new API key for it."""
        project = self.store.projects.ensure(name, self.settings.organization)
        key = self.store.api_keys.create(project.id, "in-process")
        assert key.key is not None, "a new key comes with its secret"
        return project, key.key

    def _prepare_project(self) -> None:
        self.project = self.store.projects.ensure(self.settings.project, self.settings.organization)
        self.api_key_file = self._directory / f"{slug(self.settings.project)}.api-key"
        self.api_key = _read_secret(self.api_key_file)
        if self.api_key:
            self.store.api_keys.adopt(self.project.id, "first", self.api_key)
            return
        key = self.store.api_keys.create(self.project.id, "first")
        assert key.key is not None, "a new key comes with its secret"
        self.api_key = key.key
        _write_secret(self.api_key_file, key.key)

    def _device_authority(self) -> OwnAuthority | None:
        days = self.settings.certificate_days
        return OwnAuthority(self._directory / "pki", self.store, days) if days else None

    async def _serve_devices(self, changes: Changes, calls: Calls, sessions: Sessions) -> Server:
        certificate = ensure_server_certificate(self._directory / "pki", self.settings.host)
        self.server_ca = certificate.ca
        gateway = Gateway(
            self.store,
            changes,
            calls,
            sessions,
            rate_limit=self.settings.rate_limit,
            response_delay=self.settings.response_delay,
            authority=self._device_authority(),
        )
        return await serve(
            gateway,
            host=self.settings.host,
            port=self.settings.coap_port,
            credentials=ServerCredentials(
                psk_lookup=self.store.credentials.key_of,
                certificate=certificate.certificate,
                key=certificate.key,
                client_roots=self.store.certificates.trusted,
            ),
            blocks=gateway.block,
            on_established=sessions.established,
            on_ended=sessions.ended,
        )


def _authority(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _read_secret(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise DataDirectoryError(
            f"{path} can't be read: {error}; run as the user who owns it"
        ) from error


def _write_secret(path: Path, secret: str) -> None:
    # First under another name: a killed process must not leave an empty key file behind.
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{secret}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
