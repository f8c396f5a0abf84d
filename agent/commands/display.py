"""The journal's answers as tables for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

Document = dict[str, Any]


def show_status(status: Document) -> None:
    """Print what ``edgeferry status`` answers."""
    table = facts_table()
    table.add_row("state", f"{status['state']}  since {moment(status['since']) or '-'}")
    table.add_row("agent", "running" if status["running"] else "not running")
    table.add_row("connected", _connection(status))
    if status["certificate"]:
        table.add_row("certificate", _certificate(status["certificate"]))
    if trouble := clock_trouble(status["clock"]):
        table.add_row("clock", trouble)
    if status["trust"]:
        table.add_row("trust", _trust(status["trust"]))
    for name in ("active", "previous", "target"):
        table.add_row(name, versions(status[name]))
    target = status["target"]
    if target:
        table.add_row("progress", _progress(target, status["download"] or {}))
    if status["next_try_in_s"] is not None:
        table.add_row("next try", f"within {status['next_try_in_s']:.0f} s")
    if status["waits_for"]:
        table.add_row("waits", status["waits_for"])
    elif status["hold"] != "nothing":
        table.add_row("hold", f"{status['hold']} is on hold{_from_afar(status)}")
    if (settings := status["settings"])["version"]:
        told = f"{len(settings['in_force'])} set in the cloud, {len(settings['refused'])} refused"
        table.add_row("settings", told)
    if (telemetry := status["telemetry"]) and telemetry["messages"] > 1:
        since = moment(telemetry["oldest_at"])
        waits = f"{telemetry['messages']:,} messages, {telemetry['bytes']:,} bytes, since {since}"
        table.add_row("telemetry waits", waits)
    if status["last_error"]:
        error = status["last_error"]
        what = f"{error['reason']}: {error['detail']}"
        table.add_row("last error", f"{what} ({moment(error['at'])})")
    table.add_row("worker", _worker(status["worker"]))
    table.add_row("rejected", str(len(status["rejected"])) + " releases")
    _print(table)


def show_history(transitions: list[Document]) -> None:
    """Print transitions."""
    table = _table("at", "update", "state", "by", "detail")
    for step in transitions:
        update = "" if step["update_id"] is None else str(step["update_id"])
        table.add_row(moment(step["at"]), update, step["target"], step["event"], step["detail"])
    _print(table)


def show_updates(updates: list[Document]) -> None:
    """Print updates."""
    table = _table("update", "started", "packages", "outcome", "bytes")
    for update in updates:
        packages = "\n".join(f"{p['name']} {p['version']}" for p in update["packages"])
        outcome = "\n".join(filter(None, (update["outcome"], update["reason"])))
        row = (str(update["id"]), moment(update["started_at"]), packages, outcome)
        table.add_row(*row, f"{update['fetched_bytes']:,}")
    _print(table)


def show_releases(releases: list[Document]) -> None:
    """Print the releases on disk."""
    table = _table("release", "packages", "role", "confirmed or rejected")
    for release in releases:
        packages = "\n".join(f"{name} {p['version']}" for name, p in release["packages"].items())
        judged = release["rejected"] or moment(release["confirmed_at"])
        row = (release["id"], packages, release["role"], judged)
        table.add_row(*(str(value or "") for value in row))
    _print(table)


def moment(at: str | None) -> str:
    """A time of the journal (UTC) without its fractions."""
    return at[:19].replace("T", " ") if at else ""


def versions(release: Document | None) -> str:
    """A release in one line."""
    if release is None:
        return "-"
    packages = ", ".join(f"{name} {p['version']}" for name, p in release["packages"].items())
    return f"{packages}  ({release['id']})"


def _connection(status: Document) -> str:
    if status["connected"]:
        return "yes"
    return f"no: {status['link_error']}" if status["link_error"] else "no"


def _certificate(certificate: Document) -> str:
    days = certificate["days_left"]
    when = moment(certificate["expires"])
    text = f"expired {when}" if days < 0 else f"{days} days left, until {when}"
    if certificate["origin"] != "configured":
        text += f" ({certificate['origin']})"
    return f"{text}; {certificate['problem']}" if certificate["problem"] else text


def clock_trouble(clock: Document) -> str | None:
    """What is wrong with the clock, for people, or None."""
    if clock["judged_by"]:
        return f"behind; certificates are judged by {moment(clock['judged_by'])}"
    if clock["synchronized"] is False:
        return "not set by a time server"
    return None


def _trust(trust: Document) -> str:
    by = f"{len(trust['release_keys'])} key{'' if len(trust['release_keys']) == 1 else 's'}"
    listed = f" of key list {trust['key_list']}" if trust["key_list"] else ""
    newest = f", newest number {trust['number']}" if trust["number"] else ""
    return f"releases signed by {by}{listed}{newest}"


def _progress(target: Document, link: Document) -> str:
    done, total = target["bytes_done"], target["bytes_total"]
    text = f"{done:,} of {total:,} bytes ({100 * done // max(total, 1)} %)"
    if link.get("bytes_per_second"):
        text += f", {link['bytes_per_second'] / 1000:.1f} kB/s, {link['eta_s']:.0f} s left"
    if link.get("rtt_ms"):
        text += f", round trip {link['rtt_ms']:.0f} ms"
    return text


def _worker(worker: Document) -> str:
    if worker["state"] == "away":
        return f"away: {worker['detail']}"
    if "captured" not in worker:
        return str(worker["state"])
    counters = ", ".join(f"{worker[name]} {name}" for name in ("captured", "classified", "dropped"))
    return (
        f"{worker['state']} {worker['release'] or 'nothing'} at {worker['fps']:.1f}/s: {counters}"
    )


def facts_table() -> Table:
    """Two columns without a head: what it is in bold, and what is known of it."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    return table


def _print(table: Table) -> None:
    # Versions, labels and errors come from outside: none of their text is markup.
    Console(markup=False, emoji=False).print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in {"at", "started", "state"})
    return table


def _from_afar(status: Document) -> str:
    return " (desired in the cloud)" if status["hold_desired"] == status["hold"] else ""
