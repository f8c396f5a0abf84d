"""The whole cloud: storage, device gateway, management API and console in one event loop."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from localcloud.calls import Calls
from localcloud.changes import Changes
from localcloud.console.entrance import Console
from localcloud.files import write_whole
from localcloud.gateway.certificate_requests import OwnAuthority
from localcloud.gateway.sessions import Sessions
from localcloud.gateway.site import Gateway
from localcloud.http_server import HttpServer
from localcloud.identifiers import slug
from localcloud.model import Project
from localcloud.regularly import Regularly
from localcloud.rest.app import build_api
from localcloud.server_certificate import ServerCertificate, ensure_server_certificate
from localcloud.settings import CloudSettings
from localcloud.storage.database import usable
from localcloud.storage.store import Store
from localcloud.web import web_app
from protocol.credentials import ServerCredentials
from protocol.remote import authority
from protocol.server import Server, serve

_EXPIRE_EVERY = 3600.0  # seconds


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
        return f"coaps://{authority(self._gateway.address)}"

    @property
    def http_url(self) -> str:
        """Address of the console; the management API is below ``/v1``."""
        return f"http://{authority(self._http.address)}"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            changes = Changes()
            self.store = Store(self._directory, changes)
            stack.callback(self.store.close)
            with usable(self._directory):
                self._prepare_project()
                certificate = ensure_server_certificate(self._pki, self.settings.host)
            self.server_ca = certificate.ca
            expiry = Regularly(_EXPIRE_EVERY, self.store.expire, "dropping what is old")
            stack.callback(expiry.close)
            sessions = Sessions(self.store, changes)
            stack.callback(sessions.close)
            calls = Calls()
            gateway = self._make_gateway(changes, calls, sessions)
            self._gateway = await self._serve_devices(gateway, sessions, certificate)
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
        return project, self._new_key(project, "in-process")

    def _prepare_project(self) -> None:
        self.project = self.store.projects.ensure(self.settings.project, self.settings.organization)
        self.api_key_file = self._directory / f"{slug(self.settings.project)}.api-key"
        self.api_key = _read_secret(self.api_key_file)
        if self.api_key:
            self.store.api_keys.adopt(self.project.id, "first", self.api_key)
            return
        self.api_key = self._new_key(self.project, "first")
        write_whole(self.api_key_file, f"{self.api_key}\n".encode(), mode=0o600)

    def _new_key(self, project: Project, name: str) -> str:
        made = self.store.api_keys.create(project.id, name)
        assert made.key is not None, "a new key comes with its secret"
        return made.key

    @property
    def _pki(self) -> Path:
        return self._directory / "pki"

    def _device_authority(self) -> OwnAuthority | None:
        days = self.settings.certificate_days
        return OwnAuthority(self._pki, self.store, days) if days else None

    def _make_gateway(self, changes: Changes, calls: Calls, sessions: Sessions) -> Gateway:
        return Gateway(
            self.store,
            changes,
            calls,
            sessions,
            rate_limit=self.settings.rate_limit,
            response_delay=self.settings.response_delay,
            authority=self._device_authority(),
        )

    async def _serve_devices(
        self, gateway: Gateway, sessions: Sessions, certificate: ServerCertificate
    ) -> Server:
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


def _read_secret(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
