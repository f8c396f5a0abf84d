"""Choosing what a cohort is given, with the change shown before it starts."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Sequence

from nicegui import ui

from localcloud.console.actions import acting, complain
from localcloud.console.deliveries import (
    Change,
    active,
    all_artifacts,
    all_cohorts,
    changes,
    versions_of,
)
from localcloud.console.frame import card, counted, empty, pill, text
from localcloud.console.live import Live
from localcloud.console.signatures import refusal
from localcloud.console.visit import Visit
from localcloud.model import Artifact

LEAVE_OUT = ""
_TONES = {"added": "good", "changed": "busy", "removed": "bad", "kept": "calm"}


def deploy_card(visit: Visit, live: Live, cohort_id: str) -> None:
    """A version of each package, and the way to the review; or what another cohort is to get."""
    with card("Deploy", "every package the devices need, changed or not", "ef-deploy"):
        live.section(
            lambda: all_artifacts(visit), lambda found: _choose(visit, cohort_id, found), "ef-stack"
        )
        _promote(visit, cohort_id)


def _choose(visit: Visit, cohort_id: str, artifacts: Sequence[Artifact]) -> None:
    if not artifacts:
        empty("inventory_2", "Nothing to deploy", "Upload versions on the page Packages first.")
        return
    now = active(visit, cohort_id)
    have = {a.package: a.id for a in now.artifacts} if now else {}
    selects = []
    for package in sorted({artifact.package for artifact in artifacts}):
        versions = {a.id: a.version for a in artifacts if a.package == package}
        options = {LEAVE_OUT: "leave out"} | versions
        chosen = have.get(package, LEAVE_OUT)
        select = ui.select(options, value=chosen, label=package).props("dense outlined")
        selects.append(select.classes("ef-wide"))
    known = {artifact.id: artifact for artifact in artifacts}

    def ask() -> None:
        chosen = [known[select.value] for select in selects if select.value]
        if not chosen:
            complain("Choose a version of one package at least.")
            return
        review(visit, cohort_id, chosen)

    ui.button("Review the change", on_click=ask).props("unelevated no-caps")


def _promote(visit: Visit, cohort_id: str) -> None:
    others = {c.cohort_id: c.name for c in all_cohorts(visit) if c.cohort_id != cohort_id}
    if not others:
        return

    def ask() -> None:
        now = active(visit, cohort_id)
        if now is None or not target.value:
            complain("Deploy here first, and choose the cohort that is to get the same.")
            return
        review(visit, target.value, now.artifacts, f"from {cohort_id}: {now.name}")

    with ui.element("div").classes("ef-promote"):
        text("Promote", tag="h3")
        text("Give what this cohort has to another. Whether it has earned it, edgeferry promote"
             f" --from {cohort_id} --check says.", "soft", tag="p")  # fmt: skip
        with ui.element("div").classes("ef-form"):
            target = ui.select(others, label="To", value=next(iter(others)))
            target.props("dense outlined")
            ui.button("Review", on_click=ask).props("outline no-caps")


def review(visit: Visit, cohort_id: str, artifacts: Sequence[Artifact], name: str = "") -> None:
    """Show what deploying these does to a cohort; it starts only from there."""
    store, project = visit.store, visit.project_id
    cohort = store.cohorts.get(project, cohort_id)
    now = active(visit, cohort_id)
    listed = changes(now.versions if now else {}, versions_of(artifacts))
    refused = refusal(visit, now.artifacts if now else (), artifacts)
    with ui.dialog(value=True) as dialog, ui.card().classes("ef-dialog"):
        ui.label(f"Deploy to {cohort.name}").classes("ef-dialog-title")
        count = counted(cohort.device_count, "device")
        ui.label(f"{count} will be told at once. A deployment can't be taken back; deploy what was"
                 " there before instead.").classes("soft")  # fmt: skip
        _table(listed)
        if all(change.word == "kept" for change in listed):
            ui.label("Nothing changes: devices have nothing to fetch.").classes("ef-trouble")
        if refused:
            _way_to_sign(refused, cohort.name)
        named = ui.input("Name", value=name, placeholder="why, in a few words")
        named.props("dense outlined")

        def start() -> None:
            ids = [artifact.id for artifact in artifacts]
            store.deployments.create(project, cohort_id, named.value or "", ids)

        _buttons(dialog, None if refused else acting(visit, start, f"Deployed to {cohort.name}."))
    dialog.on("hide", dialog.delete)


def _way_to_sign(refused: str, cohort: str) -> None:
    told = f"{refused}. The console holds no key; sign and deploy it with"
    ui.label(told).classes("ef-trouble")
    command = shlex.join(["edgeferry", "deploy", "--cohort", cohort, "--version", "VERSION"])
    text(command, "ef-command", tag="code")
    text("or with --unsigned, if no device pins a key", "soft", tag="p")


def _table(listed: Sequence[Change]) -> None:
    with ui.element("table").classes("ef-plain"):
        for change in listed:
            with ui.element("tr"):
                text(change.package, tag="th")
                text(f"{change.before or 'none'} → {change.after or 'none'}", tag="td")
                with ui.element("td"):
                    pill(change.word, _TONES[change.word])


def _buttons(dialog: ui.dialog, start: Callable[[], Awaitable[bool]] | None) -> None:
    """``start`` is None where nothing may be started."""

    async def go() -> None:
        if start and await start():
            dialog.close()

    with ui.element("div").classes("ef-buttons"):
        ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
        button = ui.button("Start deployment", on_click=go).props("unelevated no-caps")
        button.set_enabled(start is not None)
