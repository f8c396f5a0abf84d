"""Keys of the configuration, and what doctor says of them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.config import DeviceSettings, Settings
from agent.credentials.known_time import KnownTime
from agent.doctor.finding import Finding, Level, Patient
from agent.doctor.trust import examine_trust
from agent.errors import ConfigurationError
from agent.journal.journal import SqliteJournal
from agent.trust.settings import TrustSettings
from states.trust import Trust
from tests.support.signing import private_key, text_of

PEM = (
    private_key(2)
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


def test_keys_are_files_pem_or_base64(tmp_path: Path) -> None:
    (tmp_path / "three").write_text(text_of(3) + "\n")
    (tmp_path / "two.pem").write_text(PEM)
    entries = (text_of(1), PEM, str(tmp_path / "two.pem"), str(tmp_path / "three"))
    assert TrustSettings(public_keys=entries).keys() == {text_of(1), text_of(2), text_of(3)}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("/nowhere/key.pem", "No such file"),
        ("/", "Is a directory"),
        ("/dev/null", "no Ed25519 public key"),
        (PEM.replace("M", "-"), "no public key in PEM"),
        ("", "Is a directory"),
    ],
)
def test_what_is_no_key_is_named(entry: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"trust.public_keys: .*{said}.*signing-key show"):
        TrustSettings(public_keys=(entry,)).keys()


async def looked_at(state_dir: Path, *keys: str) -> list[Finding]:
    settings = Settings(
        device=DeviceSettings(state_dir=state_dir), trust=TrustSettings(public_keys=keys)
    )
    return await examine_trust(Patient(settings, KnownTime(), agent_runs=False))


def texts(findings: list[Finding], level: Level) -> str:
    return "\n".join(finding.text for finding in findings if finding.level is level)


async def test_doctor_tells_which_keys_count(tmp_path: Path) -> None:
    assert texts(await looked_at(tmp_path), Level.OK) == (
        "no keys are pinned: releases need no signature"
    )
    found = await looked_at(tmp_path, text_of(1), "/nowhere")
    assert f"pinned: {text_of(1)}" in texts(found, Level.OK)
    assert "No such file" in texts(found, Level.ERROR)
    assert "not started since" in texts(found, Level.WARNING)


async def test_doctor_tells_what_was_learned(tmp_path: Path) -> None:
    keys = frozenset({text_of(1)})
    trust = Trust(keys, 3, keys, frozenset({text_of(2)}), {text_of(2): 17}, "d" * 64, "r")
    with closing(SqliteJournal(tmp_path / "state.db", lambda *_: ())) as journal:
        journal.note_trust(trust)
        assert journal.trust() == trust
    found = texts(await looked_at(tmp_path, text_of(1)), Level.OK)
    assert f"key list 3 counts: releases are signed with {text_of(2)}" in found
    assert "number 17" in found
