"""Pages typed line by line as they stand. Who reads them has no systemd and no TPM."""

from __future__ import annotations

import pytest

from tests.docs.markdown_pages import ROOT
from tests.docs.reader import Reader

# A busy machine takes ten times as long over it as an idle one.
pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

DOCS = ROOT / "docs"
TUTORIAL = ("tutorial.md", "publishing.md", "debugging.md")
"""Each goes on where the one before ends."""
WALKED = {DOCS / page for page in (*TUTORIAL, "own-script.md", "provisioning.md", "signing.md")}
"""Pages whose dialogues are typed here."""


def test_the_tutorial_and_what_follows_it_hold_line_by_line(reader: Reader) -> None:
    for page in TUTORIAL:
        reader.read(DOCS / page)
    assert reader.watched == ["current", "refused", "current"]


@pytest.mark.long
def test_a_script_of_ones_own_holds_line_by_line(reader: Reader) -> None:
    for page in (*TUTORIAL, "own-script.md"):
        reader.read(DOCS / page)
    assert reader.watched[-2:] == ["current", "current"]


@pytest.mark.long
def test_provisioning_holds_line_by_line(reader: Reader) -> None:
    reader.read(DOCS / "provisioning.md")
    listed = reader.run("provision", "device", "list", "--json").document["certificates"]
    assert {each["name"]: (each["state"], each["origin"]) for each in listed} == {
        "camera-1": ("valid", "issued"),
        "camera-2": ("revoked", "issued"),
        "camera-3": ("valid", "signed"),
    }
    fleet = reader.run("fleet", "--json").document["devices"]
    assert {each["name"]: (each["cohort"], each["status"]) for each in fleet} == {
        "bench-1": ("bench", "idle"),
        "camera-1": ("doors", "awaited"),
        "camera-2": ("doors", "disabled"),
        "camera-3": ("doors", "awaited"),
    }
    for name in ("camera-1", "camera-3"):
        key = reader.folder / "devices" / name / "etc" / "credstore" / "edgeferry.key"
        assert key.stat().st_mode & 0o777 == 0o600


BEFORE_SIGNING = (
    "edgeferry cloud --data cloud --project warehouse &",
    "export EDGEFERRY_OPERATOR=$PWD/cloud/operator.toml",
    "edgeferry provision enroll camera-1 --psk --cohort cameras",
    "cp demo/models/model-2.tflite model.tflite",
    "cp demo/models/labels.txt labels.txt",
    "edgeferry publish model.tflite labels.txt --version 2 --no-check",
    "edgeferry deploy --cohort cameras --version 2",
)
"""What whoever comes to that page has; what devices make of signatures: tests/system."""


def test_signing_holds_line_by_line(reader: Reader) -> None:
    for line in BEFORE_SIGNING:
        reader.type(line)
    reader.read(DOCS / "signing.md")
    shown = reader.run("signing-key", "show", "--json").document
    assert shown["key_list"]["number"] == 1
    assert shown["key_list"]["release_keys"] == list(shown["keys"].values())
