"""Which devices a command is about: names given, or the lines of a CSV file."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from provisioning.errors import WrongUsage

# It becomes a file's name, the CN of a certificate and part of a PSK identity.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")
_COLUMNS = ("name", "hardware_id", "cohort")


@dataclass(frozen=True)
class WantedDevice:
    """One device. Its name is its certificate id as well, by which Golioth finds it."""

    name: str
    hardware_id: str | None = None
    cohort: str | None = None


def wanted_devices(
    names: Sequence[str], table: Path | None, cohort: str | None = None
) -> list[WantedDevice]:
    """The devices named, then those of the CSV file, each once; ``cohort`` where none is given.

    Raises:
        WrongUsage: there is none, or the file or a name can't be used.
    """
    devices = [*_named(names), *(_from_table(table) if table is not None else ())]
    if not devices:
        raise WrongUsage("which device? name them, or list them in a file given with --from")
    seen: set[str] = set()
    for device in devices:
        if device.name in seen:
            raise WrongUsage(f"{device.name} is listed twice; leave one of them out")
        seen.add(device.name)
    return [replace(device, cohort=device.cohort or cohort) for device in devices]


def check_name(name: str, where: str) -> str:
    """The name unchanged. Raises WrongUsage, saying ``where`` it stands."""
    if not _NAME.match(name):
        raise WrongUsage(
            f"{where}: {name!r} is no name; use 1 to 64 letters, digits, '.', '_', ':' "
            "or '-', starting with a letter or digit"
        )
    return name


def _named(names: Iterable[str]) -> Iterator[WantedDevice]:
    return (WantedDevice(check_name(name, "NAME")) for name in names)


def _from_table(path: Path) -> Iterator[WantedDevice]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(path, reader.fieldnames or ())
            for row in reader:
                yield _device(f"{path}, line {reader.line_num}", row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WrongUsage(f"{path}: {error}; give a CSV file in UTF-8") from error


def _check_columns(path: Path, found: Sequence[str]) -> None:
    unknown = sorted(set(found) - set(_COLUMNS))
    if "name" not in found or unknown:
        what = f"unknown column {unknown[0]!r}" if unknown and "name" in found else "no column name"
        raise WrongUsage(
            f"{path}, line 1: {what}; the first line names the columns, separated by commas: "
            f"{', '.join(_COLUMNS)}, of which only name is needed"
        )


def _device(where: str, row: dict[str | None, str | None]) -> WantedDevice:
    if None in row:
        raise WrongUsage(f"{where}: more fields than columns")
    name = check_name((row["name"] or "").strip(), where)
    return WantedDevice(name, _text(row.get("hardware_id")), _text(row.get("cohort")))


def _text(value: str | None) -> str | None:
    return (value or "").strip() or None
