"""Where tests leave pictures of what people see: outside the source tree."""

from __future__ import annotations

import tempfile
from pathlib import Path

SCREENSHOTS = Path(tempfile.gettempdir()) / "edgeferry-screenshots"
