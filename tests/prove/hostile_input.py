"""Bytes from outside, by the hundred thousand, to everything that decodes some.

Coverage-guided search (libFuzzer under atheris) in each target of ``tests/fuzz``, from the corpora
kept there, one process after the other. It holds when nothing comes out but the documented errors,
each with a text that can be written down, within ten seconds and a gigabyte for a case; when what
has an encoder comes out of it as it went in; and when what is another's stays as it was. The case
of whatever is found is kept in ``tests/fuzz/found``, from where every test run tries it again.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.catalogue import TARGETS
from tests.fuzz.kept import FOUND
from tests.fuzz.target import Target
from tests.prove.parts import Budget, Part, Progress, Proof

SECONDS_EACH = 300.0
"""What a target gets in a full run."""

_BEGUN = re.compile(r"#\d+\s+INITED\s+cov: (\d+)")
_ENDED = re.compile(r"#\d+\s+DONE\s+cov: (\d+)")
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_FINDING = re.compile(r"^FOUND (.+)$|^==\d+== ERROR: libFuzzer: (.+)$", re.MULTILINE)


def parts() -> tuple[Part, ...]:
    """The one part there is, where atheris runs: it has no wheels but for Linux on x86-64."""
    if find_spec("atheris") is None:
        return ()
    return (Part("fuzz", "no bytes from outside do what nobody was told to expect", prove),)


async def prove(
    folder: Path,
    budget: Budget,
    progress: Progress,
    targets: Sequence[Target] = TARGETS,
    found: Path = FOUND,
) -> Proof:
    """Search in one target after the other, for its share of the budget."""
    proof = Proof(len(targets))
    seconds = budget.seconds / len(targets) if budget.seconds else SECONDS_EACH
    for target in targets:
        progress(proof.done, proof.wanted)
        search = await _search(target, folder, found, seconds)
        _count(target, search, proof)
        proof.done += 1
    progress(proof.done, proof.wanted)
    executions, new = proof.counts["executions"], proof.counts["branches new to the corpora"]
    proof.summary = f"{executions} executions, {new} new branches, {len(proof.broken)} findings"
    return proof


@dataclass(frozen=True)
class _Search:
    """What libFuzzer says of a search; ``branches`` at its beginning and its end."""

    executions: int
    branches: tuple[int, int]
    findings: list[str]


async def _search(target: Target, folder: Path, found: Path, seconds: float) -> _Search:
    arguments = (
        *(sys.executable, "-m", "tests.fuzz.campaign", target.name, "--seconds", str(seconds)),
        *("--corpus", str(folder / target.name), "--found", str(found / target.name)),
    )
    # Whatever a killed search leaves behind goes with the part's folder.
    searching = await asyncio.create_subprocess_exec(
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    try:
        _, said = await searching.communicate()
    finally:
        if searching.returncode is None:
            searching.kill()
            await searching.wait()
    return _read(said.decode(errors="replace"), searching.returncode or 0)


def _read(said: str, status: int) -> _Search:
    findings = [found[1] or found[2] for found in _FINDING.finditer(said)]
    if status and not findings:
        findings = [f"ended with status {status}: {said[-300:]}"]
    begun, ended = _number(_BEGUN, said), _number(_ENDED, said)
    return _Search(_number(_EXECUTIONS, said), (begun, max(begun, ended)), findings)


def _number(pattern: re.Pattern[str], said: str) -> int:
    found = pattern.findall(said)
    return int(found[-1]) if found else 0


def _count(target: Target, search: _Search, proof: Proof) -> None:
    begun, ended = search.branches
    proof.counts["executions"] += search.executions
    proof.counts["branches reached"] += ended
    proof.counts["branches new to the corpora"] += ended - begun
    told = f"{search.executions:9} executions, {ended:5} branches, {ended - begun} new"
    proof.notes.append(f"{target.name:20} {told}")
    proof.broken += [f"{target.name}: {finding}" for finding in search.findings]
