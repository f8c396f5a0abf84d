"""Choose the pulled samples whose right label is known, each picture once.

    python label.py --samples work/samples --output work/pictures

This is where people come in, in a project of your own. Here an oracle stands for them: cameras that
play a folder know what they show (`known_label`), and what nobody knows is left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

TOO_FEW = 1


def choose(samples: Path, output: Path) -> dict[str, Any]:
    """Copy them to ``output/<label>/``, which is made anew, and tell how many there are."""
    with (samples / "samples.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = [row for row in rows if row["known_label"]]
    # A camera that plays a folder shows the same picture again and again.
    chosen = {row["name"]: row for row in known}
    shutil.rmtree(output, ignore_errors=True)
    for row in chosen.values():
        place = output / row["known_label"] / Path(row["file"]).name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(samples / row["file"], place)
    return {
        "pictures": dict(Counter(row["known_label"] for row in chosen.values())),
        "left_out": {"unknown": len(rows) - len(known), "repeated": len(known) - len(chosen)},
    }


def main() -> None:
    """Choose, and print what came of it as JSON; exit status 1 for fewer than ``--least``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=Path, required=True, help="what `samples pull` filled")
    parser.add_argument("--output", type=Path, required=True, help="folder for LABEL/*.jpg")
    parser.add_argument("--least", type=int, default=1, help="fail for fewer of any label (1)")
    arguments = parser.parse_args()
    try:
        found = choose(arguments.samples, arguments.output)
    except OSError as error:
        sys.exit(f"label: {error}; did `samples pull` fill that folder?")
    print(json.dumps(found, indent=2))
    if min(found["pictures"].values(), default=0) < arguments.least:
        sys.stderr.write(f"fewer than {arguments.least} pictures of a label; try again later\n")
        sys.exit(TOO_FEW)


if __name__ == "__main__":
    main()
