"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

MADE = "This page is made from the code (`make reference`); a test keeps it true."


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield _row(titles)
    yield "|" + "---|" * len(titles)
    for row in rows:
        yield _row(row)


def literal(text: str) -> str:
    """Text as it is typed; nothing for no text."""
    return f"`{text}`" if text else ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    # A bar ends a cell, in code as well; a word in angle brackets would be taken for HTML.
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)
