"""``python -m tests.fuzz.campaign TARGET``: search for findings in one target, in this process.

libFuzzer decides what is tried next, by the branches of our code (and of the decoders that are
written in Python) that a case reaches. What is found is kept in the folder of findings, one case
for each place it comes from, and the search goes on; only what takes too long or too much memory
ends it. The last lines are libFuzzer's own statistics.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

from tests.fuzz.catalogue import TARGETS, target_named
from tests.fuzz.kept import CORPUS, FOUND, keep
from tests.fuzz.mutation import changed
from tests.fuzz.target import Attempt, Target

_open_for_good = ExitStack()

SLOWEST_SECONDS = 10
MOST_MEGABYTES = 1024
_DOCUMENTS_OF_THREE = 2
"""So many of three changes are made to values, where there is a document; the others to bytes."""


def main() -> None:
    """Search until the time is over; ends the process."""
    options = _options()
    target = target_named(options.target)
    with atheris.instrument_imports(
        include=list(target.instrumented), enable_loader_override=False
    ):
        attempt = _open_for_good.enter_context(target.opened())
    options.found.mkdir(parents=True, exist_ok=True)
    options.corpus.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0],
        str(options.corpus),
        *(str(path / target.name) for path in (CORPUS, FOUND) if (path / target.name).is_dir()),
        f"-max_total_time={max(1, round(options.seconds))}",
        f"-max_len={target.most_bytes}",
        f"-timeout={SLOWEST_SECONDS}",
        f"-rss_limit_mb={MOST_MEGABYTES}",
        f"-artifact_prefix={options.found}/",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    search = Search(target, attempt, options.found)
    mutator = {} if target.document is None else {"custom_mutator": search.changed}
    atheris.Setup(arguments, search.try_one, **mutator)
    atheris.Fuzz()


class Search:
    """Tries cases and keeps what was found."""

    def __init__(self, target: Target, attempt: Attempt, found: Path) -> None:
        self._target = target
        self._attempt = attempt
        self._found = found
        self._known: set[tuple[str, str]] = set()

    def try_one(self, data: bytes) -> None:
        """Try a case; the first of each kind of finding is kept and told."""
        try:
            self._attempt(data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a finding may be of any kind
            place = traceback.extract_tb(error.__traceback__)[-1]
            kind = (type(error).__name__, f"{place.filename}:{place.lineno}")
            if kind not in self._known:
                self._known.add(kind)
                path = keep(self._found, data)
                print(f"FOUND {path.name} {kind}: {str(error)[:300]!r}", file=sys.stderr)
                traceback.print_exception(error)

    def changed(self, data: bytes, most: int, seed: int) -> bytes:
        """libFuzzer's question for the next case: a value of the document is changed, or bytes."""
        start = self._target.document or 0
        if seed % 3 < _DOCUMENTS_OF_THREE:
            document = changed(data[start:], most - start, seed)
            if document is not None:
                return data[:start] + document
        mutated: bytes = atheris.Mutate(data, most)
        return mutated


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=[target.name for target in TARGETS])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument(
        "--corpus", type=Path, help="a folder for what reaches something new; thrown away if none"
    )
    parser.add_argument(
        "--found", type=Path, help="where findings go; kept in this tree by default"
    )
    options = parser.parse_args()
    options.corpus = options.corpus or Path(_open_for_good.enter_context(TemporaryDirectory()))
    options.found = options.found or FOUND / options.target
    return options


if __name__ == "__main__":
    main()
