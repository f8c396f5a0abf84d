"""A slice of what ``make prove`` runs in full, and the parts it is made of."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from agent.worker.model.settings import parse_model_settings
from tests.fuzz.catalogue import target_named
from tests.prove import (
    crash_states,
    faults,
    good_models,
    hostile_input,
    kill_sweep,
    link_chaos,
    month,
    power_cuts,
    soak,
    surroundings,
)
from tests.prove.__main__ import sum_up
from tests.prove.mutated_releases import GOOD, MODELS, OF_EACH_OTHER, damaged, order, parts
from tests.prove.parts import Budget, Proof, all_parts
from tests.support.bad_surroundings import can_be_built
from tests.support.disk_model import Recorder
from tests.support.journal_recorder import JournalSteps
from tests.support.mutations import mutated_model
from tests.support.tiny_models import TinyModel, reversed_colours

SLICE_SECONDS = 3.0
# A killed cloud, a NAT that forgot, a new address and a moody cloud; on links that are bad, not
# dreadful.
QUICK_SEEDS = (20, 554, 1165)


@pytest.mark.system
async def test_damaged_releases_harm_nobody(tmp_path: Path) -> None:
    seen: list[int] = []
    first = parts()[0]
    proof = await first.run(tmp_path, Budget(SLICE_SECONDS), lambda done, wanted: seen.append(done))
    assert proof.broken == []
    assert proof.holds
    assert sum(proof.counts.values()) == proof.done
    assert seen == sorted(seen)


@pytest.mark.system
async def test_updates_over_bad_links_end_with_the_newest_release(tmp_path: Path) -> None:
    proof = await link_chaos.prove(tmp_path, Budget(0), _nobody_looks, seeds=QUICK_SEEDS)
    assert proof.broken == []
    assert proof.done == len(QUICK_SEEDS)
    assert proof.counts["updates"] >= 2 * proof.done


async def test_what_a_power_cut_leaves_is_something_to_go_on_from(tmp_path: Path) -> None:
    proof = await crash_states.prove(tmp_path, Budget(SLICE_SECONDS), _nobody_looks)
    assert proof.broken == []
    assert proof.holds
    assert proof.counts["states"] >= proof.done


@pytest.mark.parametrize(
    ("who", "forgets"), [(Recorder, "sync_folder"), (Recorder, "sync"), (JournalSteps, "sync")]
)
async def test_a_sync_that_is_left_out_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: type, forgets: str
) -> None:
    monkeypatch.setattr(who, forgets, lambda *_: None)
    updates = [s for s in crash_states.SCENARIOS if s.name == "updates"]
    proof = await crash_states.prove(tmp_path, Budget(0), _nobody_looks, updates)
    assert proof.broken


async def test_a_disk_that_refuses_a_step_delays_an_update_and_no_more(tmp_path: Path) -> None:
    proof = await faults.prove(tmp_path, Budget(SLICE_SECONDS), _nobody_looks)
    assert proof.broken == []
    assert proof.counts["steps refused"] >= proof.done


@pytest.mark.system
@pytest.mark.skipif(not can_be_built(), reason="no C compiler")
async def test_real_processes_outlive_a_failing_disk(tmp_path: Path) -> None:
    proof = await _trouble_of_each_kind(tmp_path, ["input/output errors"])
    assert proof.counts["calls refused"] > 0


@pytest.mark.long
@pytest.mark.system
@pytest.mark.skipif(not can_be_built(), reason="no C compiler")
async def test_real_processes_outlive_whatever_fails_around_them(tmp_path: Path) -> None:
    await _trouble_of_each_kind(tmp_path, [trouble.name for trouble in surroundings.TROUBLES])


async def _trouble_of_each_kind(folder: Path, names: list[str]) -> Proof:
    planned = surroundings.planned()
    cases = [next(case for case in planned if case.trouble.name == name) for name in names]
    proof = await surroundings.prove(folder, Budget(0), _nobody_looks, cases, lanes=1)
    assert proof.broken == []
    assert proof.done == len(names)
    return proof


@pytest.mark.long
@pytest.mark.system
async def test_updates_without_end_lose_no_frame(tmp_path: Path) -> None:
    proof = await soak.prove(tmp_path, Budget(20.0), _nobody_looks, lanes=1)
    assert proof.broken == []
    assert proof.counts["swaps"] >= soak.FEWEST_UPDATES
    assert proof.counts["frames captured"] > 0


def test_what_grows_is_told_from_what_varies() -> None:
    assert soak.quarters(range(100)) == (37, 87)
    assert not soak.has_grown("descriptors", 20.0, 22.9)
    assert soak.has_grown("descriptors", 20.0, 23.1)
    assert not soak.has_grown("memory", 50e6, 51e6)
    assert soak.has_grown("memory", 50e6, 60e6)


async def test_a_simulated_day_stays_within_its_bounds(tmp_path: Path) -> None:
    proof = await month.prove(tmp_path, Budget(0), _nobody_looks, days=1)
    assert proof.broken == []
    assert proof.counts["transitions: confirm"] >= 1
    assert proof.counts["delivered: metrics"] > 100


def test_every_trouble_comes_after_each_commit_of_an_update() -> None:
    met = {(case.trouble.name, case.commits) for case in surroundings.planned()}
    assert len(met) == len(surroundings.TROUBLES) * surroundings.COMMITS


async def test_bytes_from_outside_do_nothing_unforeseen(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="it has wheels for Linux on x86-64 only")
    labels = [target_named("labels")]
    proof = await hostile_input.prove(tmp_path, Budget(1), _nobody_looks, labels, tmp_path)
    assert proof.broken == []
    assert proof.counts["executions"] > 10
    assert proof.counts["branches reached"] > 0
    assert "0 findings" in proof.summary


@pytest.mark.long
@pytest.mark.system
async def test_updates_end_whoever_is_killed(tmp_path: Path) -> None:
    proof = await kill_sweep.prove(tmp_path, Budget(0), _nobody_looks, kills=4, lanes=1)
    assert proof.broken == []
    assert proof.done == 4


def test_at_least_a_thousand_processes_are_killed_after_each_commit_and_at_any_time() -> None:
    kills = [kill_sweep.planned(number) for number in range(kill_sweep.KILLS)]
    assert len(kills) >= 1000
    assert {kill.victim for kill in kills} == {"agent", "worker", "engine", "cloud"}
    after = {k.commits for k in kills if k.victim == "agent" and k.commits is not None}
    assert after == set(range(1, kill_sweep.COMMITS + 1))


def test_at_least_a_thousand_updates_are_tried_over_bad_links_in_a_full_run() -> None:
    plans = [link_chaos.Plan.drawn(Random(seed)) for seed in range(link_chaos.DEVICES)]
    assert sum(plan.updates for plan in plans) >= 1000
    assert {plan.accident for plan in plans} == set(link_chaos.ACCIDENTS)


def _nobody_looks(_done: int, _wanted: int) -> None:
    """Progress of a test."""


def test_at_least_five_hundred_models_are_offered_in_a_full_run() -> None:
    assert MODELS >= 500
    assert sorted(order()) == list(range(MODELS + 3 * OF_EACH_OTHER))


def test_a_short_run_has_something_of_everything() -> None:
    kinds = {damaged(number)[0].split(":")[0] for number in order()[:27]}
    assert kinds == {"model", "model-settings damaged", "labels damaged", "golden-set damaged"}


def test_fifty_good_models_are_deployed_that_no_run_had_before() -> None:
    assert good_models.RUNS >= 50
    models = [good_models.release(n)["ai-model"] for n in range(good_models.RUNS + 1)]
    assert len(set(models)) == len(models)


def test_damage_is_the_same_for_the_same_number_and_seldom_none() -> None:
    model, other = TinyModel().build(), reversed_colours().build()
    damage = [mutated_model(model, other, number) for number in range(200)]
    assert damage == [mutated_model(model, other, number) for number in range(200)]
    assert sum(content == model for _, content in damage) < 10
    assert len({how for how, _ in damage}) > 20


def test_the_release_that_is_damaged_is_a_good_one() -> None:
    assert parse_model_settings(GOOD["model-settings"]).resize == "squash"


def test_a_machine_is_cut_off_at_least_a_hundred_times_when_that_is_asked_for() -> None:
    assert power_cuts.CUTS >= 100
    assert [part.name for part in all_parts() if part.asked_for] == [
        "power-cuts-ext4",
        "power-cuts-f2fs",
    ]


def test_every_part_has_a_name_of_its_own() -> None:
    names = [part.name for part in all_parts()]
    assert len(set(names)) == len(names) > 0


def test_the_last_line_and_the_exit_status_say_whether_all_held() -> None:
    command = (sys.executable, "-m", "tests.prove", "--only", "faults", "--budget", "0.1")
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.fullmatch(
        r"prove: all held \(faults \d+ of \d+; \d+ s\)", ended.stdout.splitlines()[-1]
    )


def test_what_did_not_hold_is_named_in_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    held, broken = all_parts()[:2]
    proofs = [(held, Proof(3, done=3)), (broken, Proof(5, done=4, broken=["case 2: …"]))]
    assert sum_up(proofs, 12.3) == 1
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"prove: FAILED: {broken.name} ({held.name} 3 of 3, {broken.name} 4 of 5; 12 s)"
    )


def test_nothing_tried_is_nothing_proved() -> None:
    assert not Proof(wanted=5).holds
    assert not Proof(wanted=5, done=5, broken=["one"]).holds
    assert Proof(wanted=5, done=5).holds


def test_a_budget_of_nothing_is_never_spent() -> None:
    assert not Budget(0).spent
    assert Budget(1.0, began=0.0).spent
