"""Doctor names what is wrong with each part of a device, and the next step."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from agent.config import DeviceSettings, Settings
from agent.credentials.known_time import KnownTime
from agent.credentials.settings import GoliothSettings
from agent.doctor import server_roots
from agent.doctor.clock import examine_clock
from agent.doctor.credentials import examine_credentials
from agent.doctor.finding import Finding, Level, Patient, document, worst
from agent.doctor.reachability import examine_reachability
from agent.doctor.server_roots import examine_server_roots
from agent.doctor.services import judge_copies, judge_unit
from agent.doctor.storage import examine_disk, examine_journal
from agent.doctor.worker import examine_runtime, examine_worker, told
from agent.journal.journal import SqliteJournal
from agent.journal.opening import open_journal
from agent.journal.outbox import Kind, Message
from agent.store.files import TEMPORARY
from agent.worker.settings import WorkerSettings
from localcloud.cloud import LocalCloud
from localcloud.settings import CloudSettings
from tests.support.cloud import Bench
from tests.support.pki import Authority, Issued

DAY = timedelta(days=1)


def patient(state_dir: Path, **sections: Any) -> Patient:
    settings = Settings(
        golioth=GoliothSettings(**sections.get("golioth", {})),
        device=DeviceSettings(state_dir=state_dir, **sections.get("device", {})),
        worker=WorkerSettings(**{"source": "synthetic:"} | sections.get("worker", {})),
    )
    return Patient(settings, KnownTime(synchronized=lambda: True), agent_runs=False)


def with_pair(state_dir: Path, issued: Issued, **golioth: Any) -> Patient:
    pair = {"certificate": issued.certificate, "private_key": issued.key}
    return patient(state_dir, golioth=pair | golioth)


def said(findings: list[Finding], level: Level) -> str:
    """The texts and next steps of that level."""
    chosen = [finding for finding in findings if finding.level is level]
    assert level is Level.OK or all(finding.next_step for finding in chosen)
    return "\n".join(f"{finding.text} -> {finding.next_step}" for finding in chosen)


def leftovers(folder: Path) -> list[Path]:
    return list(folder.glob(f"{TEMPORARY}*"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "Root golioth")


class TestCredentials:
    async def test_a_good_pair(self, tmp_path: Path, authority: Authority) -> None:
        findings = await examine_credentials(with_pair(tmp_path, authority.device("camera")))
        assert worst(findings) is Level.OK
        assert "CN=camera,O=warehouse" in said(findings, Level.OK)
        assert "days left" in said(findings, Level.OK)

    async def test_faults(self, tmp_path: Path, authority: Authority) -> None:
        pair, other = authority.device("camera"), authority.device("camera")
        for issued, level, text in (
            (authority.device("camera", ends_in=-DAY), Level.ERROR, "expired on"),
            (authority.device("camera", ends_in=3 * DAY), Level.WARNING, "expires in"),
            (authority.device("c", starts_in=DAY), Level.WARNING, "valid only from"),
            (authority.server("camera"), Level.ERROR, "no O"),
            (Issued(pair.certificate, other.key), Level.ERROR, "does not belong"),
            (Issued(tmp_path / "none.crt", pair.key), Level.ERROR, "no such file"),
        ):
            findings = await examine_credentials(with_pair(tmp_path, issued))
            assert text in said(findings, level)

    async def test_who_may_read_the_key(self, tmp_path: Path, authority: Authority) -> None:
        issued = authority.device("camera")
        for mode, level in ((0o600, Level.OK), (0o640, Level.WARNING), (0o644, Level.ERROR)):
            issued.key.chmod(mode)
            findings = await examine_credentials(with_pair(tmp_path, issued))
            assert worst(findings) is level

    async def test_a_psk_and_nothing_at_all(self, tmp_path: Path) -> None:
        psk = patient(tmp_path, golioth={"psk_id": "camera", "psk": "secret"})
        findings = await examine_credentials(psk)
        assert "names no project" in said(findings, Level.WARNING)
        assert "secret" not in str(findings)
        nothing = await examine_credentials(patient(tmp_path))
        assert "no credential" in said(nothing, Level.ERROR)


class TestClock:
    @pytest.mark.parametrize(
        ("year", "synchronized", "level"),
        [
            (1970, None, Level.WARNING),
            (2030, False, Level.WARNING),
            (2030, None, Level.OK),
            (2030, True, Level.OK),
        ],
    )
    async def test_a_clock(
        self, tmp_path: Path, year: int, synchronized: bool | None, level: Level
    ) -> None:
        now = datetime(year, 1, 2, tzinfo=UTC)
        known = KnownTime(clock=lambda: now, synchronized=lambda: synchronized)
        someone = Patient(patient(tmp_path).settings, known, agent_runs=False)
        assert worst(await examine_clock(someone)) is level


class TestServerRoots:
    """With authorities of our own in the place of Golioth's."""

    @pytest.fixture(autouse=True)
    def roots(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Authority]:
        made = {}
        for name in ("ISRG Root X1", "Golioth Root X1"):
            made[name] = Authority(tmp_path / name, name)
            fingerprint = made[name].root.fingerprint(hashes.SHA256()).hex()
            monkeypatch.setitem(server_roots.GOLIOTH_ROOTS, fingerprint, name)
        return made

    @pytest.mark.parametrize(
        ("trusted", "level", "text"),
        [
            (("ISRG Root X1", "Golioth Root X1"), Level.OK, "both roots"),
            (("ISRG Root X1",), Level.WARNING, "lacks Golioth Root X1"),
            (("Golioth Root X1",), Level.ERROR, "lacks ISRG Root X1"),
        ],
    )
    async def test_a_bundle(
        self,
        tmp_path: Path,
        authority: Authority,
        roots: dict[str, Authority],
        trusted: tuple[str, ...],
        level: Level,
        text: str,
    ) -> None:
        bundle = tmp_path / "bundle.pem"
        bundle.write_bytes(b"".join(roots[name].bundle.read_bytes() for name in trusted))
        device = with_pair(tmp_path, authority.device("c"), server_ca=bundle)
        findings = await examine_server_roots(device)
        assert worst(findings) is level
        assert text in said(findings, level)

    async def test_another_cloud_needs_neither(self, tmp_path: Path, authority: Authority) -> None:
        device = with_pair(
            tmp_path, authority.device("c"), server_ca=authority.bundle, uri="coaps://localhost"
        )
        assert worst(await examine_server_roots(device)) is Level.OK

    async def test_an_unreadable_bundle(self, tmp_path: Path, authority: Authority) -> None:
        device = with_pair(tmp_path, authority.device("c"), server_ca=tmp_path / "none")
        assert "no such file" in said(await examine_server_roots(device), Level.ERROR)


class TestNetwork:
    @pytest.fixture
    async def cloud(self, tmp_path: Path, authority: Authority) -> AsyncIterator[LocalCloud]:
        settings = CloudSettings(coap_port=0, http_port=0)
        async with LocalCloud(tmp_path / "cloud", settings) as cloud, AsyncExitStack() as stack:
            await Bench(cloud, stack).operator.trust(authority)
            yield cloud

    def device(self, tmp_path: Path, cloud: LocalCloud, issued: Issued) -> Patient:
        return with_pair(tmp_path, issued, uri=cloud.coap_url, server_ca=cloud.server_ca)

    async def test_everything_works(
        self, tmp_path: Path, cloud: LocalCloud, authority: Authority
    ) -> None:
        issued = authority.device("camera", cloud.project.id)
        findings = await examine_reachability(self.device(tmp_path, cloud, issued))
        assert worst(findings) is Level.OK
        assert "the server answers" in said(findings, Level.OK)

    async def test_the_server_refuses(
        self, tmp_path: Path, cloud: LocalCloud, authority: Authority
    ) -> None:
        foreign = Authority(tmp_path / "foreign", "Else")
        for issued, text in (
            (foreign.device("camera", cloud.project.id), "is uploaded"),
            (authority.device("camera", "another"), "O of its certificate"),
        ):
            findings = await examine_reachability(self.device(tmp_path, cloud, issued))
            assert text in said(findings, Level.ERROR)

    async def test_silence_may_be_a_wrong_key(self, tmp_path: Path) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            golioth = {
                "uri": f"coaps://127.0.0.1:{silent.getsockname()[1]}",
                "psk_id": "camera@demo",
                "psk": "secret",
                "handshake_seconds": 0.3,
            }
            findings = await examine_reachability(patient(tmp_path, golioth=golioth))
        assert "unreachable, or PSK-ID/PSK wrong" in said(findings, Level.ERROR)

    async def test_a_name_that_does_not_exist(self, tmp_path: Path) -> None:
        golioth = {"uri": "coaps://nowhere.invalid", "psk_id": "a@b", "psk": "secret"}
        findings = await examine_reachability(patient(tmp_path, golioth=golioth))
        assert "DNS" in said(findings, Level.ERROR)


class TestStorage:
    async def test_a_healthy_disk_and_journal(self, tmp_path: Path) -> None:
        open_journal(tmp_path / "state.db").close()
        assert worst(await examine_disk(patient(tmp_path))) is Level.OK
        assert worst(await examine_journal(patient(tmp_path))) is Level.OK
        assert not leftovers(tmp_path), "what it tried is removed again"

    async def test_a_full_disk(self, tmp_path: Path) -> None:
        full = patient(tmp_path, device={"reserve_bytes": 1 << 60})
        assert "less than the reserve" in said(await examine_disk(full), Level.ERROR)

    async def test_a_disk_that_takes_nothing(self) -> None:
        # Not even root may make files there.
        assert "can't write" in said(await examine_disk(patient(Path("/proc/self"))), Level.ERROR)

    async def test_before_the_first_start(self, tmp_path: Path) -> None:
        new = patient(tmp_path / "none")
        assert worst(await examine_disk(new)) is Level.WARNING
        assert worst(await examine_journal(new)) is Level.WARNING

    async def test_a_damaged_journal(self, tmp_path: Path) -> None:
        (tmp_path / "state.db").write_bytes(b"not a database at all" * 100)
        assert "can't be read" in said(await examine_journal(patient(tmp_path)), Level.ERROR)

    async def test_a_journal_that_is_damaged_in_the_middle(self, tmp_path: Path) -> None:
        with closing(SqliteJournal(tmp_path / "state.db", lambda *_: ())) as journal:
            for number in range(100):
                journal.outbox.put(Message(Kind.STREAM, "path", "x" * 500), f"{number}")
        with (tmp_path / "state.db").open("r+b") as file:
            file.seek(-40_000, os.SEEK_END)
            file.write(os.urandom(40_000))
        assert "damaged" in said(await examine_journal(patient(tmp_path)), Level.ERROR)

    async def test_a_journal_of_a_newer_agent(self, tmp_path: Path) -> None:
        open_journal(tmp_path / "state.db").close()
        with closing(sqlite3.connect(tmp_path / "state.db")) as db, db:
            db.execute(
                "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
                " VALUES ('edgeferry', 'from_the_future', '')"
            )
        assert "newer agent" in said(await examine_journal(patient(tmp_path)), Level.ERROR)


class TestWorker:
    async def test_a_runtime_works(self, tmp_path: Path) -> None:
        assert worst(await examine_runtime(patient(tmp_path))) is Level.OK

    async def test_without_a_worker_the_source_is_tried(self, tmp_path: Path) -> None:
        for source, level in (("synthetic:", Level.OK), (f"dir:{tmp_path}/none", Level.ERROR)):
            findings = await examine_worker(patient(tmp_path, worker={"source": source}))
            assert "is edgeferry worker running" in said(findings, Level.ERROR)
            assert findings[-1].level is level

    @pytest.mark.parametrize(
        ("state", "detail", "level"),
        [
            ("playing", None, Level.OK),
            ("opening", None, Level.WARNING),
            ("failed", "no such device", Level.ERROR),
            ("stalled", "no picture for 5 s", Level.ERROR),
        ],
    )
    def test_a_source_is_judged_by_what_the_worker_says(
        self, state: str, detail: str | None, level: Level
    ) -> None:
        source = {"address": "camera:0", "state": state, "detail": detail}
        *_, finding = told({"release": "a", "source": source})
        assert (finding.level, finding.text) == (level, f"camera:0: {detail or state}")


@pytest.mark.parametrize(
    ("changes", "levels"),
    [
        ({}, ["ok"]),
        ({"LoadState": "not-found"}, []),
        ({"ActiveState": "failed", "Result": "watchdog"}, ["error"]),
        ({"ActiveState": "inactive"}, ["warning"]),
        ({"NRestarts": "7", "UnitFileState": "disabled"}, ["ok", "warning", "warning"]),
    ],
)
def test_a_unit_is_judged_by_its_properties(changes: dict[str, str], levels: list[str]) -> None:
    unit = {"Id": "edgeferry-agent.service", "LoadState": "loaded", "ActiveState": "active"}
    assert [finding.level for finding in judge_unit(unit | changes)] == levels


def test_a_credential_replaced_since_the_agent_started_is_named(tmp_path: Path) -> None:
    store, copies = tmp_path / "store", tmp_path / "copies"
    for folder in (store, copies):
        folder.mkdir()
        (folder / "edgeferry.crt").write_text("certificate")
        (folder / "edgeferry.key").write_text("key")
    (store / "another.service's").write_text("secret")
    assert not list(judge_copies(store, copies))
    assert not list(judge_copies(store, tmp_path / "no agent runs"))
    (store / "edgeferry.key").write_text("another key")
    (store / "edgeferry.ca").write_text("a new bundle")
    text = said(list(judge_copies(store, copies)), Level.WARNING)
    assert "edgeferry.ca" in text
    assert "edgeferry.key" in text
    assert "edgeferry.crt" not in text
    assert "systemctl restart edgeferry-agent" in text


def test_the_document_says_the_worst() -> None:
    findings = [Finding(Level.OK, "a"), Finding(Level.WARNING, "b", "c", "group")]
    assert document(findings) == {
        "worst": "warning",
        "findings": [
            {"level": "ok", "text": "a", "next_step": None, "group": ""},
            {"level": "warning", "text": "b", "next_step": "c", "group": "group"},
        ],
    }
