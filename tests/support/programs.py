"""Programs that share no code with ours, and the tests that need them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

COAP_CLIENT = "coap-client-openssl"


def needs(program: str, package: str) -> pytest.MarkDecorator:
    """Skips a test where a program of Debian is missing, and says how to get it."""
    missing = f"{program} is missing: apt-get install {package}"
    return pytest.mark.skipif(shutil.which(program) is None, reason=missing)


needs_openssl = needs("openssl", "openssl")
needs_coap_client = needs(COAP_CLIENT, "libcoap3-bin")


def openssl(*arguments: str | Path, ok: bool = True) -> str:
    """What the ``openssl`` program says; it must succeed, or fail where not ``ok``."""
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr
