"""Is a candidate better than the release that serves, on pictures neither was trained on?

    python evaluate.py --candidate candidate --current releases/1 --pictures held-out

Exit status 0 when it is, 1 when it is not or when that may be luck: of the pictures that only one
of the two gets right, the candidate must have more than a coin would give it (sign test).
"""

from __future__ import annotations

import argparse
import json
import sys
from math import comb
from pathlib import Path
from typing import Any

from releases import outputs, read_dataset, read_release


def evaluate(candidate: Path, current: Path, pictures: Path) -> dict[str, Any]:
    """How many of the held-out pictures each release gets right, and the chance that it is luck."""
    releases = read_release(candidate), read_release(current)
    dataset = read_dataset(pictures, releases[0].labels)
    right, right_before = (
        outputs(release, dataset.pictures).argmax(axis=1) == dataset.labels for release in releases
    )
    gained, lost = int((right & ~right_before).sum()), int((~right & right_before).sum())
    return {
        "pictures": len(dataset.labels),
        "candidate_right": int(right.sum()),
        "current_right": int(right_before.sum()),
        "gained": gained,
        "lost": lost,
        "chance": round(chance(gained, lost), 6),
    }


def chance(gained: int, lost: int) -> float:
    """How likely a coin shows ``gained`` heads or more in ``gained + lost`` throws."""
    throws = gained + lost
    return sum(comb(throws, heads) for heads in range(gained, throws + 1)) / float(2**throws)


def main() -> None:
    """Print the evaluation as JSON; the exit status is the verdict."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidate", type=Path, required=True, help="folder of the new release")
    parser.add_argument("--current", type=Path, required=True, help="folder of the one that serves")
    parser.add_argument("--pictures", type=Path, required=True, help="held out: LABEL/*.jpg")
    parser.add_argument(
        *("--chance", "-c"), type=float, default=0.05, help="most that it may be luck (0.05)"
    )
    arguments = parser.parse_args()
    try:
        found = evaluate(arguments.candidate, arguments.current, arguments.pictures)
    except OSError as error:
        sys.exit(f"evaluate: {error}")
    found["better"] = found["chance"] <= arguments.chance
    print(json.dumps(found, indent=2))
    sys.exit(0 if found["better"] else 1)


if __name__ == "__main__":
    main()
