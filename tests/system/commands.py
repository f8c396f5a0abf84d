"""The operator's commands against a bench's cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from demo.stage import await_that
from tests.support.provisioning import Operator
from tests.support.waiting import PATIENCE
from tests.system.conftest import Bench


class Commands:
    """The operator's commands for the cohort of a bench; ``more`` ends the operator.toml."""

    def __init__(self, bench: Bench, more: str = "") -> None:
        settings = bench.folder / "operator.toml"
        address, key = bench.cloud.address, bench.folder / "api-key"
        key.touch(0o600)
        key.write_text(address.api_key)
        settings.write_text(f'url = "{address.http}"\napi_key_file = "{key}"\n{more}')
        env = {"EDGEFERRY_OPERATOR": str(settings), "EDGEFERRY_PROJECT": address.project}
        self._operator = Operator(bench.folder, env)
        self._cohort = bench.fleet.cohort

    def publish(self, version: str, *arguments: str | Path) -> None:
        self.done("publish", *arguments, "--version", version)

    def deploy(self, *options: str | Path) -> Any:
        return self.done("deploy", "--cohort", self._cohort, *options)

    def await_status(self, status: str) -> Any:
        """Wait until ``edgeferry fleet`` says that of the bench's device, and return the device."""

        def shown() -> Any:
            (device,) = self.done("fleet", "--cohort", self._cohort)["devices"]
            return device if device["status"] == status else None

        return await_that(f"the fleet shows {status}", shown, PATIENCE)

    def done(self, *words: str | Path) -> Any:
        """What any command answers, which must succeed."""
        run = self._operator.edgeferry(*words, "--json")
        assert run.status == 0, run.error
        return run.document
