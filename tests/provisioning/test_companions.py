"""Patches as an operator publishes them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path

import pytest

from localcloud.cloud import LocalCloud
from localcloud.settings import CloudSettings
from protocol.delta import LARGEST, companion_of, read_header, restore, sha256
from provisioning.companions import publish_companion
from provisioning.management import Management
from provisioning.resources import Artifact

BASE = random.Random(1).randbytes(50_000)
TARGET = BASE[:20_000] + b"another head" + BASE[20_012:]


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[LocalCloud]:
    async with LocalCloud(tmp_path, CloudSettings(coap_port=0, http_port=0)) as cloud:
        yield cloud


@pytest.fixture
def management(cloud: LocalCloud) -> Iterator[Management]:
    with Management(cloud.http_url, cloud.api_key, cloud.project.id) as management:
        yield management


async def publish(
    management: Management, base: bytes = BASE, target: bytes = TARGET, number: int = 0
) -> Artifact | None:
    """The cloud lives in this event loop, and the client blocks."""
    return await asyncio.to_thread(
        publish_companion, management, "ai-model", base, target, number=number
    )


async def test_a_published_companion_makes_the_target(
    cloud: LocalCloud, management: Management
) -> None:
    artifact = await publish(management)
    assert artifact is not None
    known = companion_of(artifact.package, artifact.version)
    assert known == ("ai-model", sha256(BASE)[:8], sha256(TARGET)[:8])
    stored = cloud.store.artifacts.content(cloud.project.id, artifact.package, artifact.version)
    assert stored is not None
    patch = BytesIO(stored.read(0, stored.size))
    assert b"".join(restore(read_header(patch), BASE, patch)) == TARGET
    assert artifact.size == stored.size < 300


async def test_publishing_again_finds_what_is_there(management: Management) -> None:
    first = await publish(management)
    assert first is not None
    again = await publish(management)
    assert again is not None
    assert again.id == first.id


async def test_a_patch_of_the_same_pair_with_other_bytes_is_used(management: Management) -> None:
    made = await publish(management)
    assert made is not None
    other = await asyncio.to_thread(
        management.upload_artifact, "ai-model-delta1", made.version, b"made elsewhere"
    )
    again = await publish(management, number=1)
    assert again is not None
    assert again.id == other.id


async def test_patches_for_several_bases_stand_side_by_side(management: Management) -> None:
    published = [await publish(management), await publish(management, BASE[9:], number=1)]
    assert [a.package for a in published if a] == ["ai-model-delta", "ai-model-delta1"]


@pytest.mark.parametrize(
    ("base", "target"),
    [(BASE, random.Random(2).randbytes(50_000)), (b"tiny", TARGET), (bytes(LARGEST + 1), TARGET)],
    ids=["nothing in common", "base too small", "base too large"],
)
async def test_what_no_patch_helps_is_deployed_in_full(
    management: Management, base: bytes, target: bytes
) -> None:
    assert await publish(management, base, target) is None
    assert await asyncio.to_thread(lambda: list(management.artifacts())) == []
