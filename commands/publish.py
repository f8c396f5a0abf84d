"""``edgeferry publish``: a model and its labels become versions that can be deployed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioning.commands.options import (
    CLOUD,
    PACKAGES,
    RELEASE_SIGNING,
    JsonOption,
    configured,
    management_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.trial.verdict import TrialReport
    from provisioning.management import Management
    from provisioning.operator_settings import OperatorSettings
    from provisioning.publishing import PackageVersion, Published

_ROLES = ("model", "labels", "settings", "golden_set")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(publish)


def _file(text: str, *names: str, metavar: str | None = None, folder: bool = False) -> Any:
    checks: Any = {"exists": True, "readable": True, "dir_okay": folder}
    if not names:
        return typer.Argument(help=text, metavar=metavar, **checks)
    return typer.Option(*names, help=text, metavar=metavar, **checks)


@configured(CLOUD, PACKAGES, RELEASE_SIGNING)
def publish(
    settings: OperatorSettings,
    model: Annotated[Path, _file("The .tflite file.", metavar="MODEL")],
    labels: Annotated[Path, _file("Text file with one label per line.", metavar="LABELS")],
    version: Annotated[str, typer.Option(help="Version of all that is published; any text.")],
    model_settings: Annotated[
        Path | None,
        _file("model.json: how pictures are prepared.", "--settings", metavar="FILE"),
    ] = None,
    golden_set: Annotated[
        Path | None,
        _file(
            "Pictures the model must get right: folder of LABEL/PICTURE, or a ZIP of it.",
            "--golden-set",
            metavar="FOLDER|ZIP",
            folder=True,
        ),
    ] = None,
    delta_from: Annotated[
        list[Path] | None,
        _file(
            "Older model that devices hold: they then fetch a patch; may be repeated.",
            "--delta-from",
            metavar="OLD_MODEL",
        ),
    ] = None,
    no_check: Annotated[
        bool,
        typer.Option(
            "--no-check",
            help="Don't try the model here first: for a machine without a runtime for it.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Publish a model with its labels as a version that cohorts can be given.

    First it is tried as a device would: loaded in a sandbox, checked against the labels, and made
    to classify the golden set. What devices would refuse is not published. No device gets anything
    before `edgeferry deploy`. Versions never change: the same content again is fine, other content
    needs another version. With signing_keys in operator.toml, what was published is recorded: that
    is what `edgeferry deploy` signs.
    """
    from provisioning.commands.output import progress

    began = time.monotonic()
    contents = _read_all(model, labels, model_settings, golden_set)
    bases = [_read(path) for path in delta_from or ()]
    with (
        management_of(settings) as management,
        progress("Publishing", (not no_check) + len(contents) + len(bases)) as advance,
    ):
        report = None if no_check else _tried(contents, advance)
        names = dict(zip(_ROLES, settings.release_packages, strict=True))
        wanted = _wanted(names, version, contents)
        rows = _publish(management, wanted, bases, advance)
    if settings.signing_keys:
        _record(settings, wanted)
    seconds = round(time.monotonic() - began, 3)
    _show(version, rows, report, seconds, as_json=as_json)


def _read_all(
    model: Path, labels: Path, model_settings: Path | None, golden_set: Path | None
) -> dict[str, bytes]:
    from provisioning.golden_set import pack_golden_set

    contents = {"model": _read(model), "labels": _read(labels)}
    if model_settings is not None:
        contents["settings"] = _read(model_settings)
    if golden_set is not None:
        pack = pack_golden_set if golden_set.is_dir() else _read
        contents["golden_set"] = pack(golden_set)
    return contents


def _read(path: Path) -> bytes:
    from provisioning.errors import WrongUsage

    try:
        return path.read_bytes()
    except OSError as error:
        raise WrongUsage(f"{path} can't be read: {error.strerror}; check the path") from error


def _tried(contents: Mapping[str, bytes], advance: Callable[[], None]) -> TrialReport:
    from commands.checking import try_release

    report = try_release(contents)
    advance()
    return report


def _wanted(
    names: Mapping[str, str], version: str, contents: Mapping[str, bytes]
) -> list[PackageVersion]:
    from provisioning.publishing import PackageVersion

    return [PackageVersion(names[role], version, content) for role, content in contents.items()]


def _record(settings: OperatorSettings, published: list[PackageVersion]) -> None:
    """What `edgeferry deploy` will sign: these bytes, whatever the cloud says of them then."""
    from provisioning.publish_record import PublishRecord, Recorded

    project = settings.this_project
    PublishRecord(settings.signing_folder).add(
        Recorded.of(project, each.package, each.version, each.content) for each in published
    )


def _publish(
    management: Management,
    wanted: list[PackageVersion],
    bases: list[bytes],
    advance: Callable[[], None],
) -> list[dict[str, object]]:
    from provisioning.publishing import publish_patches, publish_versions

    rows = [_row(published) for published in publish_versions(management, wanted, advance)]
    model = wanted[0]
    for patch in publish_patches(management, model.package, bases, model.content):
        rows.append(_row(patch) if patch else _no_patch(model))
        advance()
    return rows


def _row(published: Published) -> dict[str, object]:
    artifact = published.artifact
    return {
        "package": artifact.package,
        "version": artifact.version,
        "bytes": artifact.size,
        "outcome": "uploaded" if published.uploaded else "already there",
        "id": artifact.id,
        "sha256": artifact.sha256,
    }


def _no_patch(model: PackageVersion) -> dict[str, object]:
    nothing = dict.fromkeys(("bytes", "id", "sha256"))
    outcome = "no patch: it would spare devices nothing"
    return {"package": model.package, "version": model.version, **nothing, "outcome": outcome}


def _show(
    version: str,
    rows: list[dict[str, object]],
    report: TrialReport | None,
    seconds: float,
    *,
    as_json: bool,
) -> None:
    from dataclasses import asdict

    from commands.checking import describe
    from provisioning.commands.output import print_json, print_rows

    if as_json:
        check = report and asdict(report)
        print_json({"version": version, "packages": rows, "check": check, "seconds": seconds})
        return
    print_rows(rows, ("package", "version", "bytes", "outcome"))
    typer.echo(f"checked: {describe(report)}" if report else "not checked")
    typer.echo(f"→ edgeferry deploy --cohort COHORT --version {version}")
