"""``edgeferry`` as an operator types it, and a local cloud that answers meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from commands.main import app, exit_status_of
from localcloud.cloud import LocalCloud
from localcloud.launch import describe, write_operator_file
from localcloud.settings import CloudSettings
from provisioning.management import Management
from tests.support.background import Background, in_background
from tests.support.json_outputs import read_output

PASSPHRASE = "correct horse battery"


@dataclass
class Run:
    """What a command printed and how it ended; ``error`` is what people read on stderr."""

    status: int
    output: str
    error: str
    words: Sequence[str]
    """What was typed after ``edgeferry``."""

    @property
    def document(self) -> Any:
        """The JSON it printed, which is as documented."""
        return read_output(self.words, self.output)

    @property
    def outcomes(self) -> dict[str, str]:
        """What became of each device."""
        return {device["name"]: device["outcome"] for device in self.document["devices"]}


@dataclass
class Operator:
    """An operator's machine: a CA folder, an environment, and the command."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def ca(self) -> Path:
        return self.folder / "ca"

    @property
    def packs(self) -> Path:
        return self.ca / "devices"

    def run(self, *arguments: str | Path, **env: str) -> Run:
        """``edgeferry provision …``; an empty variable is one that is not set."""
        return self.edgeferry("provision", *arguments, **env)

    def edgeferry(self, *arguments: str | Path, **env: str) -> Run:
        """Any command; an empty variable is one that is not set."""
        environment = {
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": "",
            "XDG_DATA_HOME": "",
            "EDGEFERRY_CA": str(self.ca),
            "EDGEFERRY_CA_PASSPHRASE": PASSPHRASE,
            "EDGEFERRY_PROJECT": "warehouse",
            **self.env,
            **env,
        }
        words = [*map(str, arguments)]
        given = {name: value or None for name, value in environment.items()}
        result = CliRunner().invoke(app, words, env=given)
        if result.exception is None or isinstance(result.exception, SystemExit):
            return Run(result.exit_code, result.stdout, result.stderr, words)
        assert isinstance(result.exception, Exception)
        status = exit_status_of(result.exception)
        if status is None:
            raise result.exception
        return Run(status, result.stdout, str(result.exception), words)

    def done(self, *arguments: str | Path, **env: str) -> Run:
        """The same, for a command that must succeed."""
        run = self.run(*arguments, **env)
        assert run.status == 0, run.output + run.error
        return run


@dataclass(frozen=True)
class BackgroundCloud:
    """A local cloud in a thread of its own."""

    running: Background[LocalCloud]
    operator_file: Path

    @property
    def cloud(self) -> LocalCloud:
        return self.running.it

    def management(self) -> Management:
        return Management(self.cloud.http_url, self.cloud.api_key, self.cloud.project.id)


@contextmanager
def cloud_in_background(
    folder: Path, project: str = "Warehouse", rate_limit: float | None = 20.0
) -> Iterator[BackgroundCloud]:
    """A cloud with that project, whose id is its name in small letters."""
    settings = CloudSettings(coap_port=0, http_port=0, project=project, rate_limit=rate_limit)
    with in_background(lambda: LocalCloud(folder, settings)) as running:
        addresses = running.call(lambda: describe(running.it))
        write_operator_file(addresses)
        yield BackgroundCloud(running, Path(addresses["operator_file"]))


def deployed(management: Management, cohort: str) -> dict[str, str]:
    """Versions by package of what a cohort was given last."""
    known = {artifact.id: artifact for artifact in management.artifacts()}
    active = next(iter(management.deployments(cohort)))
    return {known[id_].package: known[id_].version for id_ in active.artifact_ids}
