"""The project's Markdown, read as a list of blocks, links and headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
WRITTEN = (".", "docs", "demo", "examples")
"""Folders with pages; the rest of the tree holds copies and caches."""

_NOT_CHECKED = re.compile(r"<!--\s*not checked:\s*\S.*-->", re.DOTALL)
_NOT_WALKED = re.compile(r"<!--\s*not walked:\s*\S.*-->", re.DOTALL)
_FILE = re.compile(r"`([\w/.-]+\.(?:toml|py))`")
_PROMPT = re.compile(r"^(?:device|operator)?[$#] +")
_ASSIGNMENT = re.compile(r"^\w+=\S*$")


@dataclass(frozen=True)
class Block:
    """A block of code. Indented ones have no language."""

    page: Path
    line: int
    language: str
    text: str
    above: str
    """What stands directly above it."""

    @property
    def excused(self) -> bool:
        """It stands below a comment that says why it can't be checked."""
        return _NOT_CHECKED.search(self.above) is not None

    @property
    def walked(self) -> bool:
        """Whether a reader who goes through the page types it; else a comment says why not."""
        return not self.excused and _NOT_WALKED.search(self.above) is None

    @property
    def file(self) -> str | None:
        """The file that the paragraph above says it is."""
        named = _FILE.findall(self.above)
        return str(named[-1]) if named else None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> Iterator[str]:
        """The command lines in it, without prompts, continued lines joined."""
        lines = self.text.replace("\\\n", " ").splitlines()
        for line in lines:
            if self.language != "console":
                yield line.strip()
            elif prompt := _PROMPT.match(line):
                yield line[prompt.end() :].strip()

    def dialogue(self) -> Iterator[tuple[str, list[str]]]:
        """Each command typed at a prompt, with what is shown below it."""
        typed, shown = "", list[str]()
        for line in self.text.replace("\\\n", " ").splitlines():
            if prompt := _PROMPT.match(line):
                if typed:
                    yield typed, shown
                typed, shown = line[prompt.end() :].strip(), []
            elif line.strip():
                shown.append(line)
        if typed:
            yield typed, shown


def pages() -> list[Path]:
    """Every page of the project."""
    found = {page for name in WRITTEN for page in (ROOT / name).glob("*.md")}
    found |= {page for name in WRITTEN[1:] for page in (ROOT / name).rglob("*.md")}
    return sorted(found)


@cache
def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def blocks(page: Path) -> Iterator[Block]:
    """Its blocks of code."""
    above = ""
    for token in _tokens(page):
        if token.type in ("fence", "code_block"):
            line = (token.map or [0])[0] + 1
            yield Block(page, line, token.info.strip(), token.content, above)
            above = ""
        elif token.type in ("html_block", "inline"):
            above = token.content


def links(page: Path) -> Iterator[str]:
    """What its links and pictures point at."""
    for token in _tokens(page):
        for part in token.children or ():
            target = part.attrGet("href") or part.attrGet("src")
            if target is not None:
                yield str(target)


def anchors(page: Path) -> set[str]:
    """The names of its headings, as GitHub makes them."""
    found = set()
    tokens = _tokens(page)
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            plain = "".join(part.content for part in inline.children or ())
            found.add(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))
    return found


def simple_commands(line: str) -> Iterator[list[str]]:
    """The words of each command of a line of shell; variables and sudo before it are left out."""
    lexer = _lexer(line)
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set(";|&"):
            while words and (words[0] in ("sudo", "do") or _ASSIGNMENT.match(words[0])):
                words.pop(0)
            if words:
                yield words
            words = []
        else:
            words.append(word)


def _lexer(line: str) -> Iterator[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&")
    lexer.whitespace_split = True
    return iter(list(lexer))
