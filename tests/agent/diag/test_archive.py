"""A support archive tells everything but secrets."""

from __future__ import annotations

import json
import stat
import tarfile
from pathlib import Path

import pytest

from agent.config import load_settings
from agent.diag.archive import write_archive
from agent.diag.members import MEMBERS, Device
from agent.journal.opening import open_journal
from states.ports import Postponed
from tests.support.pki import Authority

PSK, STREAM_PASSWORD = "the-key-of-this-device", "hunter2-of-the-camera"


def members(path: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(path) as archive:
        for entry in archive:
            file = archive.extractfile(entry)
            assert file is not None
            found[entry.name.partition("/")[2]] = file.read()
    return found


def configured(folder: Path, golioth: dict[str, str]) -> Device:
    table = {"uri": "coaps://127.0.0.1:1", "handshake_seconds": 1, **golioth}
    lines = ["[golioth]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    lines += ["[device]", f'state_dir = "{folder}/state"', "[worker]"]
    lines += [f'source = "rtsp://user:{STREAM_PASSWORD}@192.0.2.1/live"', "stall_seconds = 0.5"]
    config = folder / "agent.toml"
    config.write_text("\n".join(lines))
    (folder / "state").mkdir()
    return Device(config, load_settings(config))


def journal_with(device: Device, detail: str) -> None:
    db = open_journal(device.state_dir / "state.db")
    row = {"at": "", "update_id": None, "event": "e", "source": "a", "target": "b"}
    db.table("transitions").insert({**row, "detail": detail})
    db.close()


@pytest.fixture(autouse=True)
def no_source_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of the stream leads nowhere; opening it would only take its time."""
    monkeypatch.setattr("agent.doctor.worker.PROBE_SECONDS", 0.5)


def test_everything_is_there_and_no_secret(tmp_path: Path) -> None:
    issued = Authority(tmp_path, "Root golioth").device("camera")
    certificate = {"certificate": str(issued.certificate), "private_key": str(issued.key)}
    device = configured(tmp_path, certificate)
    # A fetched pair is secret too, and what was once logged by mistake.
    fetched = device.state_dir / "credentials" / "1"
    fetched.mkdir(parents=True)
    (fetched / "device.key").write_bytes(issued.key.read_bytes())
    journal_with(device, "nothing secret")
    archive = tmp_path / "diag.tar.gz"
    write_archive(archive, device)

    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    found = members(archive)
    assert set(found) == {*MEMBERS, "explain.json.missing.txt"} - {"explain.json"}
    for name, content in found.items():
        assert STREAM_PASSWORD.encode() not in content, name
        for line in issued.key.read_bytes().splitlines()[1:-1]:
            assert line not in content, name
    assert json.loads(found["configuration.json"])["worker"]["source"] == "rtsp://192.0.2.1/live"
    assert json.loads(found["doctor.json"])["worst"] == "error"
    assert b"credentials/1/device.key" in found["files.txt"]
    copy = tmp_path / "copy.db"
    copy.write_bytes(found["state.db"])
    assert open_journal(copy).execute("SELECT detail FROM transitions").fetchone() == (
        "nothing secret",
    )


def test_a_secret_that_slipped_into_the_journal_stays_on_the_device(tmp_path: Path) -> None:
    device = configured(tmp_path, {"psk_id": "camera@demo", "psk": PSK})
    journal_with(device, f"somebody logged {PSK} by mistake")
    archive = tmp_path / "diag.tar.gz"
    write_archive(archive, device)
    found = members(archive)
    assert b"a secret was found" in found["state.db.missing.txt"]
    assert b"somebody logged (removed) by mistake" in found["history.json"]
    assert all(PSK.encode() not in content for content in found.values())


def test_what_is_missing_is_said_and_nothing_is_overwritten(tmp_path: Path) -> None:
    device = configured(tmp_path, {"psk_id": "camera@demo", "psk": PSK})
    archive = tmp_path / "diag.tar.gz"
    write_archive(archive, device)
    assert b"no journal" in members(archive)["status.json.missing.txt"]
    with pytest.raises(Postponed, match="exists"):
        write_archive(archive, device)
