"""A wheel that installs in a second: the installer's files, and a program that only answers."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

SYSTEMD = Path(__file__).parents[2] / "systemd"

_PROGRAM = """
import sys
def main():
    if "example-config" in sys.argv:
        print("# an example of {version}")
    elif "doctor" not in sys.argv:
        print("edgeferry {version} {marker}")
    sys.exit({status})
if __name__ == "__main__":
    main()
"""


def small_wheel(folder: Path, version: str, *, marker: str = "", status: int = 0) -> Path:
    """Write the wheel; two with another ``marker`` differ in content. ``status``: how it exits."""
    information = f"edgeferry-{version}.dist-info"
    data = f"edgeferry-{version}.data/data/share/edgeferry/systemd"
    metadata = f"Metadata-Version: 2.1\nName: edgeferry\nVersion: {version}\n"
    files = {
        "commands/__init__.py": b"",
        "commands/main.py": _PROGRAM.format(version=version, marker=marker, status=status).encode(),
        f"{information}/METADATA": metadata.encode(),
        f"{information}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{information}/entry_points.txt": b"[console_scripts]\nedgeferry = commands.main:main\n",
    }
    for path in SYSTEMD.rglob("*"):
        if path.is_file():
            files[f"{data}/{path.relative_to(SYSTEMD)}"] = path.read_bytes()
    rows = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    rows.append(f"{information}/RECORD,,")
    files[f"{information}/RECORD"] = "\n".join(rows).encode()
    folder.mkdir(exist_ok=True)
    wheel = folder / f"edgeferry-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return wheel


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
