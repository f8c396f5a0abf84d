"""``python -m commands.reference FOLDER`` writes the pages into that folder."""

from __future__ import annotations

import sys
from pathlib import Path

from commands.reference import PAGES


def main(folder: Path) -> None:
    """Write every page; the folder must be there."""
    for name, page in PAGES.items():
        (folder / name).write_text(page())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
