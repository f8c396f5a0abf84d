"""What the pages show is so: blocks are read as whoever copies them would, links lead somewhere."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import ValidationError

from agent.config import Settings
from commands.main import app
from provisioning.operator_settings import OperatorSettings
from tests.docs.markdown_pages import (
    ROOT,
    Block,
    anchors,
    blocks,
    links,
    pages,
    simple_commands,
)

DIAGRAMS = ("flowchart", "stateDiagram-v2", "sequenceDiagram", "graph")
SHELL = ("", "console", "sh")
PAGES = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))


def read_toml(block: Block) -> None:
    table = tomllib.loads(block.text)
    try:
        Settings(**table)
    except ValidationError as as_agent:
        try:
            OperatorSettings(**table)
        except ValidationError as as_operator:
            pytest.fail(f"neither agent.toml nor operator.toml:\n{as_agent}\n{as_operator}")


def read_json(block: Block) -> None:
    try:
        json.loads(block.text)
    except json.JSONDecodeError:
        for line in block.text.splitlines():
            json.loads(line)


def read_python(block: Block) -> None:
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def read_diagram(block: Block) -> None:
    assert block.text.split()[0] in DIAGRAMS


def read_shell(block: Block) -> None:
    for line in block.commands():
        if re.search(r"\b(edgeferry|make) \w", line):
            check_line(line)


READERS: dict[str, Callable[[Block], None]] = {
    "toml": read_toml,
    "json": read_json,
    "python": read_python,
    "mermaid": read_diagram,
    **dict.fromkeys(SHELL, read_shell),
}
OF_OTHER_PROGRAMS = {"yaml", "{toctree}"}
"""Prometheus and Golioth's pipelines read these; Sphinx reads its own."""


@PAGES
def test_every_block_is_what_it_says(page: Path) -> None:
    for block in blocks(page):
        if block.excused or block.language in OF_OTHER_PROGRAMS:
            continue
        assert block.language in READERS, f"{block}: nothing here reads {block.language}"
        try:
            READERS[block.language](block)
        except Exception as error:
            error.add_note(f"in {block}")
            raise


def check_line(line: str) -> None:
    for words in simple_commands(line):
        check_command(words)


def check_command(words: list[str]) -> None:
    program, *arguments = words
    if program == "make":
        check_make(arguments)
    elif program.rpartition("/")[2] == "edgeferry":
        check_edgeferry(arguments)


def check_make(words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wanted = {word for word in words if "=" not in word}
    assert wanted <= targets, f"make has no {wanted - targets}"


def check_edgeferry(words: list[str]) -> None:
    """Parse the words as the command does, without doing anything."""
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="edgeferry")
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words[0]]
        context = command.context_class(command, info_name=words[0], parent=context)
        words = words[1:]
    if any(word in ("--help", "-h") for word in words):
        return
    given, left, _ = command.make_parser(context).parse_args(list(words))
    assert not left, f"{command.name}: {left} are too many"
    for parameter in command.params:
        value = given.get(parameter.name)
        if not isinstance(value, str | list | tuple):
            must = parameter.required and not parameter.envvar
            assert not must, f"{command.name} needs {parameter.name}"
        else:
            convert(parameter, context, value)


def convert(parameter: Any, context: Any, value: object) -> None:
    try:
        parameter.process_value(context, value)
    except Exception as error:
        # The reader's files are not here.
        if not str(error).endswith("does not exist."):
            raise


@PAGES
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page}: {link}"


def named_in_toctrees() -> Iterator[Path]:
    for index in (ROOT / "docs" / "index.md", ROOT / "docs" / "decisions" / "index.md"):
        for block in blocks(index):
            if block.language == "{toctree}":
                for line in block.text.splitlines():
                    if line and not line.startswith(":"):
                        yield from index.parent.glob(f"{line}.md")
    yield ROOT / "docs" / "index.md"
    yield ROOT / "docs" / "decisions" / "index.md"


def test_every_page_has_its_place_in_the_site() -> None:
    written = {page for page in pages() if page.is_relative_to(ROOT / "docs")}
    assert written - set(named_in_toctrees()) == set()


@pytest.mark.parametrize(
    "line",
    [
        "edgeferry publish model.tflite labels.txt",
        "edgeferry publish model.tflite labels.txt --version 2 --frobnicate",
        "edgeferry publish model.tflite labels.txt more.txt --version 2",
        "edgeferry frobnicate",
        "sudo edgeferry cloud --coap-port 99999",
        "cd there && edgeferry deploy --cohort",
        "make coffee",
    ],
)
def test_a_command_that_is_not_there_is_noticed(line: str) -> None:
    with pytest.raises(
        Exception, match=r"needs|such option|too many|No such|less than|requires|make"
    ):
        check_line(line)
