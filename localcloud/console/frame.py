"""What all pages have: the bar, the ways to the other pages, and small parts they are made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import ui

from localcloud.console.visit import Visit

_WAYS = (
    ("/", "Fleet", "sensors"),
    ("/packages", "Packages", "inventory_2"),
    ("/cohorts", "Cohorts", "hub"),
    ("/compare", "Compare", "balance"),
    ("/settings", "Settings", "tune"),
)


@contextmanager
def frame(visit: Visit, here: str, title: str) -> Iterator[None]:
    """The page's surroundings; ``here`` is the path of the way it belongs to."""
    ui.page_title(f"{title} · Edgeferry")
    with ui.header().classes("ef-bar"):
        with ui.link(target="/").classes("ef-brand"):
            ui.element("img").props('src="/static/mark.svg" alt=""')
            ui.label("Edgeferry")
        _ways(here, "ef-ways")
        ui.label(visit.store.projects.get(visit.project_id).name).classes("ef-project")
        with ui.element("form").props('method="post" action="/sign-out"'):
            ui.button("Sign out", color=None).props('type="submit" flat dense no-caps')
    _ways(here, "ef-tabs")
    with ui.element("main").classes("ef-page"):
        yield


def _ways(here: str, classes: str) -> None:
    with ui.element("nav").classes(classes):
        for path, name, icon in _WAYS:
            with ui.link(target=path).classes("here" if path == here else ""):
                ui.icon(icon)
                ui.label(name)


@contextmanager
def card(title: str = "", note: str = "", classes: str = "") -> Iterator[ui.element]:
    """A panel with a heading."""
    with ui.element("section").classes(f"ef-card {classes}") as panel:
        if title:
            with ui.element("header"):
                text(title, tag="h2")
                if note:
                    text(note, "soft")
        yield panel


def text(content: str, classes: str = "", tag: str = "span") -> ui.element:
    """Plain text in an element; markup in it is shown, not followed."""
    with ui.element(tag).classes(classes) as element:
        ui.label(content).classes("ef-text")
    return element


def gone(visit: Visit, here: str, what: str) -> None:
    """The page of something that is not there, such as a "device"."""
    with frame(visit, here, f"No such {what}"), card():
        empty("search_off", f"There is no such {what}", "It may have been deleted.")


def ago(moment: str | None, never: str = "never") -> None:
    """A time as how long ago it was; the browser keeps it true."""
    if moment is None:
        text(never, "soft")
        return
    ui.element("time").classes("ef-ago").props["datetime"] = moment


def pill(word: str, tone: str) -> None:
    """A state in its colour: good, busy, bad, or calm."""
    text(word, f"ef-pill {tone}")


def dot(*, online: bool) -> None:
    """Whether a device has a live session, as a dot."""
    ui.element("span").classes("ef-dot online" if online else "ef-dot")


def counted(count: int, noun: str) -> str:
    """So many of them, such as "1 device"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def empty(icon: str, title: str, advice: str, command: str = "") -> None:
    """What stands where there is nothing yet: what to do next."""
    with ui.element("div").classes("ef-empty"):
        ui.icon(icon)
        text(title, tag="h3")
        text(advice, "soft", tag="p")
        if command:
            text(command, tag="code")
