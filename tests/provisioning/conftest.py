"""An operator's machine for each test; a CA and a cloud for each module."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.provisioning import BackgroundCloud, Operator, cloud_in_background


@pytest.fixture
def bare(tmp_path: Path) -> Operator:
    """Nothing made yet; devices are told of a gateway."""
    (tmp_path / "operator.toml").write_text('gateway = "coaps://cloud.local"\n')
    return Operator(tmp_path, {"EDGEFERRY_OPERATOR": str(tmp_path / "operator.toml")})


@pytest.fixture(scope="session")
def made_ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA with an encrypted key, made once."""
    operator = Operator(tmp_path_factory.mktemp("made"))
    operator.done("ca", "init")
    return operator.ca


@pytest.fixture
def operator(bare: Operator, made_ca: Path) -> Operator:
    """With a CA of the project ``warehouse``."""
    shutil.copytree(made_ca, bare.ca)
    return bare


@pytest.fixture(scope="module")
def running_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackgroundCloud]:
    with cloud_in_background(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def connected(bare: Operator, running_cloud: BackgroundCloud) -> Operator:
    """An operator without a CA, whose commands find the local cloud."""
    bare.env |= {"EDGEFERRY_OPERATOR": str(running_cloud.operator_file), "EDGEFERRY_CA": ""}
    return bare


@pytest.fixture
def own_name(request: pytest.FixtureRequest) -> str:
    """A name that no other test gives to anything in the cloud they share."""
    return hashlib.sha256(request.node.name.encode()).hexdigest()[:12]


@pytest.fixture
def member(operator: Operator, running_cloud: BackgroundCloud) -> Operator:
    """An operator whose CA the local cloud's project accepts."""
    operator.env["EDGEFERRY_OPERATOR"] = str(running_cloud.operator_file)
    operator.done("ca", "upload")
    return operator
