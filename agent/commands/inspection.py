"""Reading the journal and the store for people and scripts, also while no agent runs.

Nothing here writes. ``status`` is the JSON contract of ``edgeferry status --json``.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any

from agent.cloud.reporting import describe
from agent.commands.explaining import Explainer, Present
from agent.config import Settings
from agent.credentials.known_time import KnownTime, from_text
from agent.credentials.status import certificate_status, clock_status
from agent.credentials.watch import CERTIFICATE_FACT, TIME_FACT
from agent.gate import read_hold
from agent.journal.boot_clock import BootClock
from agent.journal.checkpoints import JournalCheckpoints
from agent.journal.facts import stored_fact
from agent.journal.opening import JOURNAL_FILE, open_for_reading
from agent.journal.outbox import Kind, waiting
from agent.journal.schema import knows_telemetry
from agent.journal.trust import TRUST_FACT, as_trust
from agent.parts import open_store, worker_of
from agent.remote.desired import HOLD_FACT, desired_hold
from agent.remote.keys import merge
from agent.remote.live_settings import SETTINGS_FACT, remembered
from agent.samples.upload_state import upload_state
from agent.store.lock import is_locked
from agent.store.release_store import ReleaseStore
from agent.store.releases import ReleaseDamaged
from agent.trust.status import trust_status
from agent.worker_port.client import WorkerClient
from states.gates import stricter
from states.model import Package, Release
from states.ports import Postponed

Document = dict[str, Any]

LOOK_SECONDS = 4.0
"""What a worker that hangs may take of the time of whoever asks for the status."""


class Inspector:
    """A view of one device's state folder.

    Raises:
        JournalError: no agent has run with this configuration yet.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._db = open_for_reading(settings.device.state_dir / JOURNAL_FILE)
        self._store = open_store(settings)

    def close(self) -> None:
        """Close the journal."""
        self._db.close()

    def status(self) -> Document:
        """What the device does, serves and waits for (contract; keys may be added)."""
        machine = self._row("SELECT * FROM machine") or {}
        update = self._row("SELECT * FROM updates WHERE id = ?", machine.get("update_id"))
        running = is_locked(self._settings.device.state_dir)
        known_time = KnownTime(from_text(self._fact(TIME_FACT)))
        link = self._document("connected", {"up": False})
        desired = desired_hold(self._fact(HOLD_FACT))
        return {
            "state": machine.get("state", "idle"),
            "since": machine.get("since"),
            "running": running,
            "connected": running and link["up"],
            "link_error": link.get("error") or None,
            "link_error_code": link.get("code"),
            "certificate": certificate_status(self._document(CERTIFICATE_FACT, {}), known_time),
            "clock": clock_status(known_time),
            "trust": trust_status(as_trust(self._fact(TRUST_FACT))),
            "active": self._described(self._store.active()),
            "previous": self._described(self._store.previous()),
            "target": self._target(update) if update else None,
            "download": self._document("download", {})
            if machine.get("state") == "downloading"
            else None,
            "rejected": self._rows("SELECT release_id AS id, reason, detail, at FROM rejections"),
            "last_error": self._last_error(),
            "next_try_in_s": self._next_try(machine, update),
            "settings": self._settings_from_afar(),
            "hold": str(stricter(read_hold(self._settings.device.state_dir), desired)),
            "hold_desired": str(desired),
            "waits_for": update["detail"] if update and machine["state"] == "held" else None,
            "traffic": self._document("traffic", {"received_bytes": 0, "sent_bytes": 0}),
            **self._telling(),
            "worker": asyncio.run(worker_status(self._settings, self._store)),
        }

    def _telling(self) -> Document:
        if not knows_telemetry(self._db):
            return {"telemetry": None, "samples_upload": None}
        return {
            "telemetry": asdict(waiting(self._db, Kind.STREAM)),
            "samples_upload": upload_state(self._settings, self._db).to_json(),
        }

    def history(self, limit: int) -> list[Document]:
        """The newest ``limit`` transitions, oldest first."""
        rows = self._rows(
            "SELECT t.at, t.update_id, t.event, t.source, t.target, t.detail, "
            "u.release_id AS release, u.sequence FROM transitions t "
            "LEFT JOIN updates u ON u.id = t.update_id ORDER BY t.id DESC LIMIT ?",
            limit,
        )
        return rows[::-1]

    def updates(self, limit: int) -> list[Document]:
        """The newest ``limit`` updates with their outcome and bytes over the air, oldest first."""
        rows = self._rows(
            "SELECT u.*, coalesce(c.fetched_bytes, 0) AS fetched_bytes, "
            "coalesce(c.fetched_blocks, 0) AS fetched_blocks, "
            "coalesce(c.retransmissions, 0) AS retransmissions "
            "FROM updates u LEFT JOIN costs c ON c.update_id = u.id ORDER BY u.id DESC LIMIT ?",
            limit,
        )
        for row in rows:
            row["packages"] = json.loads(row["packages"])
            # Not there while the journal is that of an agent older than this command.
            row["companions"] = json.loads(row.get("companions", "[]"))
            row["signature"] = json.loads(row.get("signature") or "null")
        return rows[::-1]

    def releases(self) -> list[Document]:
        """Every release on disk, the newest first, with what is known of it."""
        active, previous = self._store.active(), self._store.previous()
        confirmed = {r["release_id"]: r["at"] for r in self._rows("SELECT * FROM confirmations")}
        # A refused signature says nothing of the release, which may have come with another one.
        rejections = (r for r in self._rows("SELECT * FROM rejections") if not r.get("signature"))
        rejected = {r["release_id"]: r["reason"] for r in rejections}
        found = []
        for release_id in self._store.releases():
            described = self._described(release_id)
            if described is not None:
                role = {active: "active", previous: "previous"}.get(release_id)
                known = {"confirmed_at": confirmed.get(release_id)}
                rejection = {"rejected": rejected.get(release_id)}
                found.append({**described, "role": role, **known, **rejection})
        return found

    def explain(self, named: str | None = None) -> Document:
        """The whole story of an update, by :mod:`agent.commands.explaining`.

        Raises NothingToExplain.
        """
        machine = self._row("SELECT * FROM machine") or {}
        update = self._row("SELECT * FROM updates WHERE id = ?", machine.get("update_id"))
        present = Present(
            state=machine.get("state", "idle"),
            update_id=machine.get("update_id"),
            active=self._store.active(),
            running=is_locked(self._settings.device.state_dir),
            next_try_in_s=self._next_try(machine, update),
        )
        return Explainer(self._rows, present).explain(named)

    def _row(self, query: str, *values: object) -> Document | None:
        return next(iter(self._db.query(query, list(values))), None)

    def _rows(self, query: str, *values: object) -> list[Document]:
        return list(self._db.query(query, list(values)))

    def _document(self, fact: str, absent: Document) -> Document:
        text = self._fact(fact)
        return absent if text is None else dict(json.loads(text))

    def _fact(self, name: str) -> str | None:
        return stored_fact(self._db, name)

    def _described(self, release_id: str | None) -> Document | None:
        if release_id is None:
            return None
        try:
            release = self._store.read_release(release_id)
        except ReleaseDamaged as damage:
            return {"id": release_id, "sequence": None, "packages": {}, "damage": str(damage)}
        return describe(release, self._sequence(release_id))

    def _sequence(self, release_id: str) -> int | None:
        row = self._row(
            "SELECT max(sequence) AS newest FROM (SELECT sequence FROM manifest "
            "WHERE release_id = ?1 UNION SELECT sequence FROM updates WHERE release_id = ?1)",
            release_id,
        )
        return row["newest"] if row else None

    def _target(self, update: Document) -> Document:
        release = Release(tuple(Package(**package) for package in json.loads(update["packages"])))
        done = sum(self._bytes_on_disk(package) for package in release.packages)
        described = describe(release, update["sequence"]) or {}
        return {**described, "bytes_done": done, "bytes_total": release.size}

    def _bytes_on_disk(self, package: Package) -> int:
        if self._store.has(package):
            return package.size
        return JournalCheckpoints(self._db).held_bytes(package.sha256)

    def _settings_from_afar(self) -> Document:
        """What the operator set in the cloud: what is in force of it, and what was refused."""
        sent = remembered(self._fact(SETTINGS_FACT))
        merged = merge(self._settings, sent.values)
        refused = [{**asdict(error), "code": int(error.code)} for error in merged.errors]
        return {"version": sent.version, "in_force": dict(merged.in_force), "refused": refused}

    def _last_error(self) -> Document | None:
        return self._row(
            "SELECT u.release_id AS release, u.reason, u.detail, t.at FROM updates u "
            "JOIN transitions t ON t.update_id = u.id WHERE u.reason IS NOT NULL "
            "ORDER BY t.id DESC LIMIT 1"
        )

    def _next_try(self, machine: Document, update: Document | None) -> float | None:
        """Seconds left to wait; after a reboot nobody can tell, and the agent tries soon."""
        clock = BootClock.of_this_machine()
        if update is None or machine["state"] != "awaiting-retry":
            return None
        if machine["boot_id"] != clock.boot_id:
            return 0.0
        waited = clock.now() - machine["boottime"]
        return max(0.0, float(update["retry_delay"]) - float(waited))


async def worker_status(settings: Settings, store: ReleaseStore) -> Document:
    """The worker's figures, or why there are none."""
    worker = worker_of(settings, store, LOOK_SECONDS)
    try:
        if isinstance(worker, WorkerClient):
            return await worker.status()
        figures = await worker.figures()
    except Postponed as away:
        return {"state": "away", "release": None, "detail": away.detail}
    return {"state": "serving", "release": figures.serving}
