"""``python -m tests.prove``: claims that need hundreds of cases; exit status 0 when all held."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.prove.parts import Budget, Part, Proof, all_parts

console = Console()


def main() -> int:
    """Run what was asked for and tell what held."""
    parts = all_parts()
    options = _options(parts)
    # What agents in this process warn of is part of what they are put through.
    logging.getLogger().addHandler(logging.NullHandler())
    chosen = [part for part in parts if part.name in options.only]
    chosen = chosen or [part for part in parts if not part.asked_for]
    share = options.budget / len(chosen)
    began = time.monotonic()
    proofs = [(part, _prove(part, share)) for part in chosen]
    for part, proof in proofs:
        _tell(part, proof)
    return sum_up(proofs, time.monotonic() - began)


def _options(parts: tuple[Part, ...]) -> argparse.Namespace:
    known = "\n".join(f"  {part.name:34} {part.about}" for part in parts)
    parser = argparse.ArgumentParser(
        prog="python -m tests.prove",
        description=f"{__doc__}\n\nparts:\n{known}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="end after about so long, with as many cases as fit; 0 (default) runs them all",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PART",
        choices=[part.name for part in parts],
        help="this part; may be repeated",
    )
    return parser.parse_args()


def _prove(part: Part, seconds: float) -> Proof:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with (
        tempfile.TemporaryDirectory(prefix="prove-") as folder,
        Progress(*columns, console=console) as bar,
    ):
        task = bar.add_task(part.name, total=None)

        def progress(done: int, wanted: int) -> None:
            bar.update(task, completed=done, total=wanted)

        async def run() -> Proof:
            return await part.run(Path(folder), Budget(seconds), progress)

        return asyncio.run(run())


def _tell(part: Part, proof: Proof) -> None:
    console.print(f"\n[bold]{part.name}[/]: {part.about}")
    for what, count in proof.counts.most_common():
        console.print(f"  {count:5}  {what}", highlight=False)
    for note in proof.notes:
        console.print(f"  {note}", highlight=False)
    for line in proof.broken[:20]:
        console.print(f"  [red]broken[/] {line}", highlight=False)


def sum_up(proofs: list[tuple[Part, Proof]], seconds: float) -> int:
    """Say in one line what ran and what held; 0 if all of it did, otherwise 1."""
    failed = [part.name for part, proof in proofs if not proof.holds]
    cases = ", ".join(_cases(part, proof) for part, proof in proofs)
    verdict = f"FAILED: {', '.join(failed)}" if failed else "all held"
    console.print(f"\nprove: {verdict} ({cases}; {seconds:.0f} s)", highlight=False, soft_wrap=True)
    return 1 if failed else 0


def _cases(part: Part, proof: Proof) -> str:
    cases = f"{part.name} {proof.done} of {proof.wanted}"
    return f"{cases} with {proof.summary}" if proof.summary else cases


if __name__ == "__main__":
    sys.exit(main())
