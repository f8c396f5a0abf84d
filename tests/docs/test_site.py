"""The site builds without a warning, and needs no other server to be read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.markdown_pages import ROOT

pytest.importorskip("furo", reason="the extra docs is not installed: make docs")

FROM_ELSEWHERE = re.compile(r"""<(?:script|link|img)[^>]+(?:src|href)="https?://""")


def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "--quiet",
        "--fail-on-warning",
        "docs",
        str(tmp_path),
    ]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    pages = {page: page.read_text() for page in tmp_path.rglob("*.html")}
    assert not [page for page, text in pages.items() if FROM_ELSEWHERE.search(text)]
    drawn = pages[tmp_path / "state-machine.html"]
    assert 'from "./_static/mermaid/draw.js"' in drawn
    assert (tmp_path / "_static" / "mermaid" / "index.js").exists()
