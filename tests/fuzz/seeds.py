"""``python -m tests.fuzz.seeds``: write the seed corpora anew, from the real encoders."""

from __future__ import annotations

from tests.fuzz.catalogue import TARGETS
from tests.fuzz.kept import CORPUS, keep

if __name__ == "__main__":
    for target in TARGETS:
        for case in target.seeds():
            keep(CORPUS / target.name, case)
