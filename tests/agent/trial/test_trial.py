"""Real models, real interpreters, real child processes."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.trial.limits import TrialLimits
from agent.trial.trial import TrialFiles, try_model
from agent.trial.verdict import TrialReport
from agent.worker.choices import RuntimeName
from states.ports import Postponed, Rejected
from states.reasons import Rejection, Transient
from tests.support.mutations import mutated_model
from tests.support.runtimes import RUNTIMES, works
from tests.support.tiny_models import DataType, TinyModel, reversed_colours

Put = Callable[..., TrialFiles]

LIMITS = TrialLimits(wall_seconds=60, timed_runs=2)
MUTATIONS = 10


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes a model and labels, each time under another name."""
    count = iter(range(10_000))

    def write(
        model: bytes | TinyModel, labels: bytes = b"red\ngreen\n", settings: Any = None
    ) -> TrialFiles:
        folder = tmp_path / str(next(count))
        folder.mkdir()
        content = model.build() if isinstance(model, TinyModel) else model
        (folder / "m.tflite").write_bytes(content)
        (folder / "l.txt").write_bytes(labels)
        if settings is None:
            return TrialFiles(folder / "m.tflite", folder / "l.txt")
        (folder / "model.json").write_text(json.dumps({"format": 1, **settings}))
        return TrialFiles(folder / "m.tflite", folder / "l.txt", folder / "model.json")

    return write


async def _reason(files: TrialFiles, runtime: RuntimeName = "auto") -> Rejection:
    with pytest.raises(Rejected) as caught:
        await try_model(files, LIMITS, runtime=runtime)
    assert caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("data_type", ["int8", "uint8", "float32"])
async def test_a_good_pair_is_described(
    put: Put, runtime: RuntimeName, data_type: DataType
) -> None:
    report = await try_model(put(TinyModel(data_type=data_type)), LIMITS, runtime=runtime)
    assert report.runtime == runtime
    assert (report.input_shape, report.input_type) == ((1, 16, 16, 3), data_type)
    assert (report.output_shape, report.output_type) == ((1, 2), data_type)
    assert report.labels == 2
    assert report.latency_ms > 0


async def test_a_pair_whose_labels_do_not_match_is_refused(put: Put) -> None:
    files = put(TinyModel(classes=2), b"red\ngreen\nblue\n")
    assert await _reason(files) is Rejection.LABEL_COUNT_MISMATCH


async def test_labels_that_are_none_are_refused(put: Put) -> None:
    assert await _reason(put(TinyModel(), b"red\n\xff\n")) is Rejection.LABELS_INVALID


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"input": {"shape": [1, 96, 96, 3]}}, "input.shape [1, 96, 96, 3], the model has [1, 16"),
        ({"input": {"type": "uint8"}}, "input.type uint8, the model has int8"),
        ({"input": {"scale": 0.5}}, "input.scale 0.5"),
        ({"input": {"zero_point": 0}}, "input.zero_point 0, the model has -128"),
        ({"output": {"shape": [1, 3]}}, "output.shape [1, 3]"),
        ({"colour": "rgb"}, "unknown key colour; did you mean colour_order?"),
    ],
)
async def test_a_model_that_is_not_what_its_release_declares_is_refused(
    put: Put, settings: Any, said: str
) -> None:
    with pytest.raises(Rejected) as caught:
        await try_model(put(TinyModel(), settings=settings), LIMITS)
    assert caught.value.reason is Rejection.MODEL_SETTINGS_INVALID
    assert said in caught.value.detail


async def test_what_a_release_declares_truly_is_used(put: Put) -> None:
    declared = {
        "input": {"shape": [1, 16, 16, 3], "type": "int8", "scale": 0.003922, "zero_point": -128},
        "output": {"shape": [1, 2]},
        "allow_duplicate_labels": True,
        "latency_budget_ms": 500,
    }
    report = await try_model(put(TinyModel(), b"crane\ncrane\n", declared), LIMITS)
    assert (report.labels, report.latency_budget_ms) == (2, 500)


async def test_the_report_says_what_the_sandbox_was(put: Put) -> None:
    report = await try_model(put(TinyModel()), LIMITS)
    assert set(report.sandbox) == {"network", "filesystem", "system_calls", "limits"}
    assert "MiB" in report.sandbox["limits"]


@pytest.mark.parametrize(
    "model",
    [
        TinyModel(channels=1),
        TinyModel(batch=4),
        TinyModel(side=2049),
    ],
    ids=["grey", "batch", "huge"],
)
async def test_an_input_that_is_no_colour_picture_is_refused(put: Put, model: TinyModel) -> None:
    assert await _reason(put(model)) is Rejection.MODEL_UNSUPPORTED


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 1e30])
async def test_an_input_without_a_sane_scale_is_refused(put: Put, scale: float) -> None:
    # Some of these the runtime itself refuses, or dies of.
    assert await _reason(put(TinyModel(input_scale=scale))) in {
        Rejection.MODEL_INVALID,
        Rejection.MODEL_CRASHED,
    }


async def test_a_model_that_answers_no_numbers_is_refused(put: Put) -> None:
    nothing = float("nan")
    weights = ((nothing, 0.0, 0.0), (0.0, 1.0, 0.0))
    files = put(TinyModel(data_type="float32", weights=weights))
    assert await _reason(files) is Rejection.MODEL_INVALID


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", bytes(1000)])
async def test_a_file_that_is_no_model_is_refused(put: Put, content: bytes) -> None:
    assert await _reason(put(content)) in {Rejection.MODEL_INVALID, Rejection.MODEL_CRASHED}


async def test_a_model_that_kills_its_process_is_refused_with_the_signal(put: Put) -> None:
    if not works("tflite-runtime"):
        pytest.skip("only tflite-runtime dies of a truncated model")
    noise = random.Random(1).randbytes(4096)
    with pytest.raises(Rejected) as caught:
        await try_model(put(b"\x18\0\0\0TFL3" + noise), LIMITS, runtime="tflite-runtime")
    assert caught.value.reason is Rejection.MODEL_CRASHED
    assert "SIGSEGV" in caught.value.detail


SLOW = TinyModel(side=1024, layers=60, data_type="float32")


async def test_a_model_that_takes_too_much_processor_time_is_refused(put: Put) -> None:
    with pytest.raises(Rejected) as caught:
        await try_model(put(SLOW), TrialLimits(cpu_seconds=1))
    assert caught.value.reason is Rejection.MODEL_HUNG
    assert "processor" in caught.value.detail


async def test_a_model_that_takes_too_long_is_refused(put: Put) -> None:
    files = put(SLOW)
    for seconds in (2, 8, 32):
        limits = TrialLimits(cpu_seconds=60, wall_seconds=seconds, timed_runs=10_000)
        with pytest.raises((Rejected, Postponed)) as caught:
            await try_model(files, limits)
        # A machine may be too busy to begin so soon.
        if isinstance(caught.value, Rejected):
            break
    assert isinstance(caught.value, Rejected)
    assert caught.value.reason is Rejection.MODEL_HUNG


async def test_a_model_that_takes_too_much_memory_is_refused(put: Put) -> None:
    files = put(TinyModel(side=2048, layers=4, data_type="float32"))
    with pytest.raises(Rejected):
        await try_model(files, TrialLimits(memory_bytes=400 << 20))


async def test_a_model_file_that_is_too_large_is_refused(put: Put) -> None:
    with pytest.raises(Rejected) as caught:
        await try_model(put(TinyModel()), TrialLimits(max_model_bytes=100))
    assert caught.value.reason is Rejection.TOO_LARGE


async def test_a_missing_file_is_no_fault_of_the_content(put: Put) -> None:
    files = put(TinyModel())
    files.model.unlink()
    with pytest.raises(Postponed, match=r"m\.tflite"):
        await try_model(files, LIMITS)


async def test_a_machine_that_can_open_no_model_at_all_is_no_fault_of_the_content(put: Put) -> None:
    with pytest.raises(Postponed):
        await try_model(put(TinyModel()), TrialLimits(memory_bytes=64 << 20))


async def test_a_machine_too_busy_to_begin_is_no_fault_of_the_content(put: Put) -> None:
    with pytest.raises(Postponed) as postponed:
        await try_model(put(TinyModel()), TrialLimits(wall_seconds=0.001))
    # Not an internal error, of which only a few are borne with.
    assert postponed.value.reason is Transient.NO_RESOURCES


async def test_a_model_that_the_machine_does_not_let_run_is_given_longer(
    put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.trial.trial.is_starved", lambda _pid, _seconds: True)
    monkeypatch.setattr("agent.trial.trial.LONGER_TIMES", 1e5)
    report = await try_model(put(TinyModel()), TrialLimits(wall_seconds=0.001))
    assert report.labels > 0


async def test_the_child_gets_no_credentials_from_the_environment(
    put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLIOTH_PSK", "secret")
    seen: list[dict[str, str]] = []
    start = asyncio.create_subprocess_exec

    async def watched(*args: Any, **kwargs: Any) -> asyncio.subprocess.Process:
        seen.append(kwargs["env"])
        return await start(*args, **kwargs)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watched)
    await try_model(put(TinyModel()), LIMITS)
    assert seen
    assert "GOLIOTH_PSK" not in seen[0]


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_mutated_models_get_a_reason_and_harm_nobody(put: Put, runtime: RuntimeName) -> None:
    model, other = TinyModel().build(), reversed_colours().build()
    at_once = asyncio.Semaphore(3)

    async def outcome(number: int) -> TrialReport | Rejected:
        async with at_once:
            try:
                return await try_model(
                    put(mutated_model(model, other, number)[1]), LIMITS, runtime=runtime
                )
            except Rejected as rejected:
                return rejected

    outcomes = await asyncio.gather(*(outcome(number) for number in range(MUTATIONS)))
    rejected = [found for found in outcomes if isinstance(found, Rejected)]
    assert all(found.detail for found in rejected)
    assert len(rejected) > MUTATIONS // 3
