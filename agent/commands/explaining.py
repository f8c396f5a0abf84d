"""The whole story of one update, from SQLite alone: ``edgeferry explain --json``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from agent.commands.words import reason_in_words, span
from states.reasons import ABOUT_SIGNATURE

Document = dict[str, Any]
Query = Callable[..., list[Document]]


class NothingToExplain(Exception):  # noqa: N818 - reads as what happened
    """There is no such update; the text says which there are."""

    exit_status: ClassVar[int] = 1


@dataclass(frozen=True)
class Present:
    """What holds now, whatever became of the update: the part of the story that may change."""

    state: str
    update_id: int | None
    active: str | None
    running: bool
    next_try_in_s: float | None


class Explainer:
    """Tells stories from a journal; ``query`` runs SQL on it."""

    def __init__(self, query: Query, present: Present) -> None:
        self._query = query
        self._present = present

    def explain(self, named: str | None) -> Document:
        """The story of an update by its number, of a release's newest one, or of the newest.

        ``named`` may be the beginning of a release's id. Raises NothingToExplain.
        """
        update = self._find(named)
        story = self._told(update)
        return {**story, "verdict": self._verdict(story), "next": list(self._next(story))}

    def _find(self, named: str | None) -> Document:
        newest = "SELECT * FROM updates WHERE {} ORDER BY id DESC LIMIT 1"
        if named is None:
            found = self._query(newest.format("1"))
        else:
            found = self._query(newest.format("release_id LIKE ? || '%'"), named)
            if named.isdecimal() and (not found or len(named) < len(found[0]["release_id"])):
                found = self._query(newest.format("id = ?"), int(named)) or found
        if found:
            return found[0]
        if named is None:
            raise NothingToExplain("no update was ever offered to this device")
        raise NothingToExplain(
            f"there is no update {named} and none of a release {named}; "
            "`edgeferry history --updates` lists them"
        )

    def _told(self, update: Document) -> Document:
        number = update["id"]
        before = self._packages_of(update["fallback"])
        packages = [
            {
                **{name: package[name] for name in ("name", "version", "sha256", "size")},
                "unchanged": package["sha256"] in {p["sha256"] for p in before},
            }
            for package in json.loads(update["packages"])
        ]
        cost = self._query("SELECT * FROM costs WHERE update_id = ?", number)
        rejected = self._query(
            "SELECT reason, detail, at FROM rejections WHERE release_id = ? ORDER BY at DESC",
            update["release_id"],
        )
        under_way = self._present.update_id == number
        return {
            "update": number,
            "release": update["release_id"],
            "sequence": update["sequence"],
            "packages": packages,
            "replaces": {
                "id": update["fallback"],
                "versions": {p["name"]: p["version"] for p in before},
            }
            if update["fallback"]
            else None,
            "started_at": update["started_at"],
            "finished_at": update["finished_at"],
            "state": self._present.state if under_way else None,
            "outcome": update["outcome"],
            "reason": update["reason"],
            "detail": update["detail"],
            "steps": self._steps(number),
            "download": {
                name: cost[0][name] if cost else 0
                for name in ("fetched_bytes", "fetched_blocks", "retransmissions")
            },
            **{kind: self._evidence(number, kind) for kind in ("trial", "swap", "window")},
            "rejected": rejected[0] if rejected else None,
            "serves_now": self._present.active,
        }

    def _packages_of(self, release_id: str | None) -> list[Document]:
        known = self._query(
            "SELECT packages FROM updates WHERE release_id = ? ORDER BY id DESC LIMIT 1", release_id
        )
        return list(json.loads(known[0]["packages"])) if known else []

    def _steps(self, number: int) -> list[Document]:
        """Every state the update was in, when it came, how long it stayed and why it left."""
        rows = self._query(
            "SELECT at, event, source, target, detail FROM transitions "
            "WHERE update_id = ? ORDER BY id",
            number,
        )
        steps = []
        for here, left in zip(rows, [*rows[1:], None], strict=True):
            stayed = _seconds_between(here["at"], left["at"]) if left else None
            leaving = {"event": left["event"], "detail": left["detail"]} if left else None
            steps.append(
                {"state": here["target"], "at": here["at"], "seconds": stayed, "left_by": leaving}
            )
        return steps

    def _evidence(self, number: int, kind: str) -> Document | None:
        if not self._query("SELECT 1 FROM sqlite_master WHERE name = 'evidence'"):
            return None  # the journal of an agent older than this command
        found = self._query(
            "SELECT document FROM evidence WHERE update_id = ? AND kind = ? "
            "ORDER BY id DESC LIMIT 1",
            number,
            kind,
        )
        return dict(json.loads(found[0]["document"])) if found else None

    def _verdict(self, story: Document) -> str:
        outcome, why = story["outcome"], reason_in_words(story["reason"], story["detail"])
        if story["state"] not in {None, "idle"} and outcome is None:
            return _under_way(story["state"], why)
        figures = (story["window"] or {}).get("figures") or {}
        match outcome:
            case "confirmed":
                frames = figures.get("classified", 0)
                return f"Confirmed: it classified {frames} frames as it should."
            case "rolled-back":
                back_to = story["replaces"]["id"] if story["replaces"] else "nothing"
                return f"Went back to {back_to}: {_sentence(why)}"
            case "rejected":
                return f"Refused before anything was switched: {_sentence(why)}"
            case "superseded":
                return f"Given up for a newer deployment: {_sentence(story['detail'])}"
            case "unneeded":
                return "Nothing to do: it was serving already."
            case _:
                return f"Broken off: {_sentence(story['detail'] or 'no reason was noted')}"

    def _next(self, story: Document) -> list[str]:
        lines = []
        if story["rejected"]:
            about_signature = story["reason"] in ABOUT_SIGNATURE
            other = "another signature of it" if about_signature else "other content"
            lines.append(
                "It is not taken again by itself. To let it in again: "
                f"`edgeferry retry {story['release']}`; {other} is taken as usual."
            )
        elif story["state"] == "awaiting-retry":
            left = self._present.next_try_in_s or 0.0
            lines.append(f"Tried again within {span(left)}; `edgeferry retry` does it now.")
        elif story["state"] == "held":
            lines.append("It goes on by itself once that is over.")
        elif story["state"] is not None:
            lines.append("It goes on by itself; `edgeferry status` follows it.")
        if story["state"] is None:
            if story["serves_now"] == story["release"]:
                lines.append("It serves now.")
            elif story["serves_now"]:
                lines.append(f"Release {story['serves_now']} serves now.")
            else:
                lines.append("No release serves now.")
        if not self._present.running:
            lines.append("No agent runs: nothing goes on before `edgeferry run` is started.")
        return lines


def _under_way(state: str, why: str) -> str:
    doing = {
        "held": "Has to wait",
        "awaiting-retry": "Waits to be tried again",
        "confirming": "Serves on probation, in its commit window",
    }.get(state, f"Under way: {state}")
    return f"{doing}: {_sentence(why)}" if why else f"{doing}."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _seconds_between(earlier: str, later: str) -> float | None:
    """Seconds by the wall clock; None when it was set back between them."""
    seconds = (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
    return round(seconds, 3) if seconds >= 0 else None
