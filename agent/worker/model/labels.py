"""``labels.txt``: one label a line, in the order of the model's outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from states.ports import Rejected
from states.reasons import Rejection

if TYPE_CHECKING:
    from pathlib import Path

MAX_LABELS_BYTES = 1 << 20
MAX_LABEL_CHARACTERS = 256


def read_labels(path: Path, *, allow_duplicates: bool = False) -> tuple[str, ...]:
    """Labels of that file.

    Raises Rejected(LABELS_INVALID) for content that is no label file, OSError when it can't be
    read.
    """
    with path.open("rb") as file:
        return parse_labels(file.read(MAX_LABELS_BYTES + 1), allow_duplicates=allow_duplicates)


def parse_labels(content: bytes, *, allow_duplicates: bool = False) -> tuple[str, ...]:
    """Labels in UTF-8, with or without a byte order mark; white space around a label is ignored.

    Blank lines are allowed at the end only: elsewhere they would shift every later label by one.
    A label that is there twice is usually a slip; some lists (ImageNet's) really have one.
    Raises Rejected(LABELS_INVALID), naming the line.
    """
    if len(content) > MAX_LABELS_BYTES:
        raise _invalid(f"more than {MAX_LABELS_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _invalid(f"line {line} is not UTF-8: save the file as UTF-8") from error
    lines = [line.strip() for line in text.rstrip().split("\n")]
    if lines == [""]:
        raise _invalid("the file holds no label")
    _check(lines, allow_duplicates)
    return tuple(lines)


def _check(lines: list[str], allow_duplicates: bool) -> None:
    seen: dict[str, int] = {}
    for number, label in enumerate(lines, 1):
        if not label:
            raise _invalid(f"line {number} is blank: every line stands for one output of the model")
        if len(label) > MAX_LABEL_CHARACTERS:
            raise _invalid(f"line {number} has more than {MAX_LABEL_CHARACTERS} characters")
        if not label.isprintable():
            raise _invalid(f"line {number} holds control characters")
        if label in seen and not allow_duplicates:
            raise _invalid(
                f"lines {seen[label]} and {number} are both '{label}'; if that is meant, put "
                '"allow_duplicate_labels": true into the release\'s model.json'
            )
        seen[label] = number


def _invalid(detail: str) -> Rejected:
    return Rejected(Rejection.LABELS_INVALID, detail)
