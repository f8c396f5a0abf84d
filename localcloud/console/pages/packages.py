"""Packages with their versions, and uploading a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nicegui import ui
from nicegui.events import UploadEventArguments
from starlette.requests import Request

from localcloud.console.actions import acting, asking
from localcloud.console.deliveries import Version, versions_by_package
from localcloud.console.frame import ago, card, counted, empty, frame, text
from localcloud.console.live import Live
from localcloud.console.visit import Visit
from localcloud.errors import InvalidArgument


@ui.page("/packages")
def packages_page(request: Request) -> None:
    """The packages."""
    visit: Visit = request.state.visit
    live = Live(visit)

    def draw(packages: Mapping[str, Sequence[Version]]) -> None:
        if not packages:
            with card():
                empty(
                    "inventory_2",
                    "No package yet",
                    "Upload a model and its labels here, or let edgeferry publish try them as a"
                    " device would and upload them.",
                    "edgeferry publish model.tflite labels.txt --version 1",
                )
        for name, versions in packages.items():
            _package(visit, name, versions)

    with frame(visit, "/packages", "Packages"):
        _upload_card(visit)
        live.section(lambda: versions_by_package(visit), draw, "ef-stack")


def _upload_card(visit: Visit) -> None:
    with card("Upload a version", "it never changes once it is here"):
        with ui.element("div").classes("ef-form"):
            known = list(versions_by_package(visit)) or ["ai-model", "labels"]
            package = ui.select(known, value=known[0], label="Package", with_input=True)
            package.props('dense outlined new-value-mode="add-unique"')
            version = ui.input("Version", placeholder="2").props("dense outlined")

        async def take(event: UploadEventArguments) -> None:
            async def store() -> None:
                if not version.value:
                    raise InvalidArgument("give the version a name first, such as 2")
                content = await event.file.read()
                name = str(package.value)
                visit.store.artifacts.create(visit.project_id, name, version.value, content)

            done = f"{package.value} {version.value} is here; deploy it to a cohort."
            await acting(visit, store, done)()
            upload.reset()

        upload = ui.upload(
            label="Choose a file, or drop it here",
            on_upload=take,
            auto_upload=True,
            max_files=1,
            max_file_size=visit.max_artifact_bytes,
            on_rejected=lambda: ui.notify("The file is too large for this cloud.", type="negative"),
        )
        upload.props("flat bordered").classes("ef-upload")


def _package(visit: Visit, name: str, versions: Sequence[Version]) -> None:
    with card(name, counted(len(versions), "version")):
        if not versions:
            text("Nothing was uploaded to it.", "soft")
            return
        with ui.element("div").classes("ef-scroll"), ui.element("table").classes("ef-plain"):
            with ui.element("tr"):
                for head in ("Version", "Size", "Cohorts that have it", "SHA-256", "Uploaded", ""):
                    text(head, tag="th")
            for version in versions:
                _version(visit, version)


def _version(visit: Visit, version: Version) -> None:
    artifact = version.artifact

    def delete() -> None:
        visit.store.artifacts.delete(visit.project_id, artifact.id)

    with ui.element("tr"):
        text(artifact.version, tag="th")
        text(size_text(int(artifact.size)), tag="td")
        with ui.element("td"):
            for cohort in version.cohorts:
                text(cohort, "ef-version")
        with text(artifact.sha256[:12], tag="td") as digest:
            ui.tooltip(artifact.sha256)
        digest.classes("ef-mono")
        with ui.element("td"):
            ago(artifact.created_at)
        with ui.element("td"):
            dialog = asking(
                f"Delete {artifact.package} {artifact.version}?",
                "Versions that a deployment lists can't be deleted.",
                "Delete",
                acting(visit, delete),
            )
            button = ui.button(icon="delete", on_click=dialog.open, color=None)
            button.props('flat dense round size="sm" aria-label="Delete"').classes("soft")


def size_text(count: int) -> str:
    """Bytes for people."""
    if count < 1000:
        return f"{count} bytes"
    size, unit = (count / 1000, "kB") if count < 1_000_000 else (count / 1_000_000, "MB")
    return f"{size:.1f} {unit}"
