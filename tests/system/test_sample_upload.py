"""Samples of a real device, whose agent is killed while it sends them."""

from __future__ import annotations

import pytest

from agent.samples.store import SampleStore
from agent.samples.upload_part import PART_BYTES
from agent.store.files import Files
from demo.stage import await_that
from tests.support.samples import add_sample, jpeg, reassembled
from tests.support.waiting import PATIENCE
from tests.system.conftest import Bench

pytestmark = pytest.mark.system

SAMPLES = ("edgeferry", "samples")


def test_an_agent_that_is_killed_goes_on_and_one_complete_copy_arrives(bench: Bench) -> None:
    # Slow enough for the kill to come in the middle: 17 requests for each of six parts.
    bench.tables["golioth"]["requests_per_second"] = 40
    bench.tables["samples"] = {"upload": True}
    bench.device.configure(bench.tables)
    store = SampleStore(bench.device.state_dir, Files())
    picture = jpeg(5 * PART_BYTES + 1000)
    sample = add_sample(store, picture)

    agent = bench.device.start("run")
    await_that(
        "parts arrive", lambda: len(bench.streamed(*SAMPLES)) >= 2, PATIENCE, bench.device.log_tail
    )
    agent.kill()
    before = [part["part"] for part in bench.streamed(*SAMPLES)]
    assert sample in [kept.id for kept in store.oldest_first()]
    assert len(before) < 6, "it was killed too late to prove anything"

    bench.device.start("run")
    await_that(
        "it is deleted once it has arrived",
        lambda: not list(store.oldest_first()),
        PATIENCE,
        bench.device.log_tail,
    )
    parts = bench.streamed(*SAMPLES)
    assert reassembled(parts) == {sample: picture}
    # At most the part in hand was sent twice.
    assert len(parts) <= 7
