"""Pictures of a device: its last snapshot, and the samples it sent for training."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from localcloud.console.frame import ago, card, empty, text
from localcloud.console.live import IsSeen, Live
from localcloud.console.pictures import Picture, newest_snapshot, samples
from localcloud.console.visit import Visit


def snapshot_card(visit: Visit, live: Live, device_id: str) -> None:
    """What the device saw last, when asked."""

    def draw(picture: Picture | None) -> None:
        if picture is None:
            empty("image", "No snapshot yet", "Ask for one with the button Snapshot.")
        else:
            _figure(device_id, picture)

    with card("Snapshot"):
        live.section(lambda: newest_snapshot(visit, device_id), draw)


def samples_card(visit: Visit, live: Live, device_id: str, is_seen: IsSeen) -> None:
    """The newest pictures the device kept for training."""

    def draw(pictures: Sequence[Picture]) -> None:
        if not pictures:
            empty(
                "photo_library",
                "No sample yet",
                "A device that may capture and upload sends pictures its model was unsure of.",
                "edgeferry samples pull",
            )
            return
        with ui.element("div").classes("ef-gallery"):
            for picture in pictures:
                _figure(device_id, picture)

    with card("Samples", "the newest first, put together from what was streamed"):
        live.section(lambda: samples(visit, device_id), draw, is_seen=is_seen)


def _figure(device_id: str, picture: Picture) -> None:
    with ui.element("figure").classes("ef-figure"):
        if picture.missing:
            text(f"parts missing: {picture.missing}", "ef-partial", tag="div")
        else:
            path = f"/pictures/{device_id}/{picture.kind}/{picture.id}"
            image = ui.element("img")
            image.props["src"], image.props["alt"] = path, picture.label
            image.props["loading"] = "lazy"
        with ui.element("figcaption"):
            sure = "" if picture.confidence is None else f" {picture.confidence:.0%}"
            text(f"{picture.label}{sure}", tag="b")
            version = f"version {picture.version}" if picture.version else ""
            text(" · ".join(part for part in (version, picture.why) if part), "soft")
            ago(picture.at or None, "")
