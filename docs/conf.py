"""How the documentation's site is built (`make docs`); why by these tools: docs/decisions/0008."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path

from sphinx.application import Sphinx

project = "Edgeferry"
project_copyright = "the Edgeferry contributors, Apache-2.0"
release = importlib.metadata.version("edgeferry")

extensions = ["myst_parser", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown"}
# Links to headings by their names on GitHub, where the same files are read as they are.
myst_heading_anchors = 3
# ```mermaid is what GitHub draws.
myst_fence_as_directive = ["mermaid"]
suppress_warnings = [
    # Shown as they are: JSON with … for what is left out.
    "misc.highlighting_failure",
    # Pages outside docs/ are no part of the site, and become plain text there. That each link leads
    # somewhere is the business of tests/docs/test_pages.py, which knows those pages too.
    "myst.xref_missing",
]

html_theme = "furo"
html_title = f"Edgeferry {release}"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]
mermaid_use_local = "mermaid/draw.js"
mermaid_fullscreen = False
mermaid_height = "auto"


def _bring_mermaid(app: Sphinx, error: Exception | None) -> None:
    """Put the console's copy of mermaid beside the pages: no page needs another server."""
    if error is not None:
        return
    nicegui = importlib.util.find_spec("nicegui")
    assert nicegui is not None
    assert nicegui.origin is not None
    source = Path(nicegui.origin).parent / "elements" / "mermaid" / "dist"
    target = Path(app.outdir) / "_static" / "mermaid"
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.map"))
    # It is exported by name there; the extension asks for the default.
    (target / "draw.js").write_text('export {mermaid as default} from "./index.js";\n')


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("build-finished", _bring_mermaid)
