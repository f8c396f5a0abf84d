"""Everything the cloud remembers, opened together."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from localcloud.changes import Changes
from localcloud.storage.artifact_files import ArtifactFiles
from localcloud.storage.artifacts import Artifacts
from localcloud.storage.cohorts import Cohorts
from localcloud.storage.credentials import Certificates, Credentials
from localcloud.storage.database import Database, DirectoryLock, usable
from localcloud.storage.deployments import Deployments
from localcloud.storage.devices import Devices
from localcloud.storage.events import OtaEvents
from localcloud.storage.groups import Blueprints, Tags
from localcloud.storage.logs import Logs
from localcloud.storage.packages import Packages
from localcloud.storage.projects import ApiKeys, Projects
from localcloud.storage.settings import Settings
from localcloud.storage.state import DeviceState
from localcloud.storage.stream import Stream
from localcloud.storage.stream_pages import StreamPages


class Store:
    """The data directory: ``cloud.db``, ``artifacts/`` and a lock. Raises DataDirectoryError."""

    def __init__(self, directory: Path, changes: Changes) -> None:
        with ExitStack() as stack, usable(directory):
            stack.callback(DirectoryLock(directory).release)
            self._database = Database(directory / "cloud.db")
            stack.callback(self._database.close)
            self._open(directory, changes)
            self._closing = stack.pop_all()

    def _open(self, directory: Path, changes: Changes) -> None:
        database = self._database
        self.projects = Projects(database)
        self.api_keys = ApiKeys(database)
        self.tags = Tags(database)
        self.blueprints = Blueprints(database)
        self.devices = Devices(database, changes)
        self.credentials = Credentials(database, changes)
        self.certificates = Certificates(database, changes)
        self.packages = Packages(database)
        self.artifacts = Artifacts(database, self.packages, ArtifactFiles(directory / "artifacts"))
        self.cohorts = Cohorts(database)
        self.deployments = Deployments(database, changes, self.cohorts, self.artifacts)
        self.events = OtaEvents(database)
        self.logs = Logs(database)
        self.state = DeviceState(database, changes)
        self.settings = Settings(database, changes)
        self.stream = Stream(database)
        self.stream_pages = StreamPages(self.stream)
        self.expire()
        self.artifacts.collect_orphans()

    def expire(self) -> None:
        """Drop what has been kept for as long as it is to be."""
        self.logs.expire()
        self.stream.expire()

    def atomic(self) -> AbstractContextManager[object]:
        """Everything inside is one transaction."""
        return self._database.atomic()

    @property
    def revision(self) -> int:
        """The same number means that nothing has been written since."""
        return self._database.revision

    def close(self) -> None:
        """Close the database and let another process in."""
        self._closing.close()
