"""The examples' scripts say in a line what they can't begin with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import evaluate
import label
import local_fleet
import pipeline
import pytest
import train

CONFIG = Path(pipeline.__file__).with_name("pipeline.toml")


@pytest.mark.parametrize(
    ("main", "words", "status", "said"),
    [
        (pipeline.main, "--config absent.toml", 2, "pipeline: absent.toml: "),
        (
            pipeline.main,
            f"--config {CONFIG} canary",
            2,
            "pipeline: canary: work/version is missing",
        ),
        (label.main, "--samples absent --output pictures", 1, "did `samples pull` fill"),
        (train.main, "--base absent --pictures absent --output new", 1, "train: "),
        (evaluate.main, "--candidate a --current b --pictures c", 1, "evaluate: "),
        (local_fleet.main, "retrain --folder .", 2, "something is there already"),
        (local_fleet.main, "retrain --folder taken", 2, "name another"),
    ],
)
def test_what_can_not_be_begun_with_is_said(
    main: Callable[[], None],
    words: str,
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["script", *words.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    told = ended.value.code if isinstance(ended.value.code, str) else capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert status == (1 if isinstance(ended.value.code, str) else ended.value.code)
