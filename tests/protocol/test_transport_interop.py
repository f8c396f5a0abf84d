"""Against programs that share no code with ours: libcoap's client and OpenSSL's own tools."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from protocol.credentials import CertificateCredential, PskCredential
from tests.support.coap import PSK, Blocks, Net, Pki
from tests.support.programs import COAP_CLIENT, needs_coap_client, needs_openssl
from tests.support.raw_client import RawClient
from tests.support.waiting import within

PING = b"\x40\x00\x12\x34"
RESET = b"\x70\x00\x12\x34"


@asynccontextmanager
async def program(*command: str) -> AsyncIterator[Process]:
    """A running program with pipes, ended when the block is left."""
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def libcoap_arguments(credential: PskCredential | CertificateCredential) -> list[str]:
    if isinstance(credential, CertificateCredential):
        files = (credential.certificate, credential.key, credential.server_ca)
        return [
            part for pair in zip(("-c", "-j", "-C"), map(str, files), strict=True) for part in pair
        ]
    return ["-u", credential.identity, "-k", credential.key.decode()]


@needs_coap_client
@pytest.mark.parametrize("kind", ["psk", "certificate"])
async def test_libcoap_fetches_a_resource_block_by_block(
    net: Net, pki: Pki, tmp_path: Path, kind: str
) -> None:
    server = await net.serve()
    credential = PSK if kind == "psk" else pki.device()
    fetched = tmp_path / "fetched"
    url = f"coaps://127.0.0.1:{server.address[1]}/blocks"
    command = [COAP_CLIENT, "-B", "20", "-b", "1024", "-o", str(fetched)]

    async with program(*command, *libcoap_arguments(credential), url) as client:
        output, errors = await client.communicate()

    assert client.returncode == 0, (output, errors)
    assert fetched.read_bytes() == Blocks.BODY
    assert net.site.blocks.served == 98


def openssl_psk(*options: str) -> list[str]:
    return [*options, "-psk_identity", PSK.identity, "-psk", PSK.key.hex()]


def openssl_certificate(*options: str, credential: CertificateCredential) -> list[str]:
    pair = ["-cert", str(credential.certificate), "-key", str(credential.key)]
    return [*options, *pair, "-CAfile", str(credential.server_ca)]


@needs_openssl
@pytest.mark.parametrize("kind", ["psk", "certificate"])
async def test_openssl_s_client_gets_an_answer(net: Net, pki: Pki, kind: str) -> None:
    server = await net.serve()
    address = f"127.0.0.1:{server.address[1]}"
    options = ["openssl", "s_client", "-dtls1_2", "-quiet", "-connect", address]
    if kind == "psk":
        command = openssl_psk(*options, "-cipher", "PSK")
    else:
        verify = ["-verify_return_error", "-verify_hostname", "localhost"]
        command = openssl_certificate(*options, *verify, credential=pki.device())

    async with program(*command) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(PING)
        answer = await within(client.stdout.readexactly(4))

    assert answer == RESET


@needs_openssl
@pytest.mark.parametrize("kind", ["psk", "certificate"])
async def test_our_client_talks_to_openssl_s_server(pki: Pki, kind: str) -> None:
    options = ["openssl", "s_server", "-dtls1_2", "-accept", "127.0.0.1:0"]
    if kind == "psk":
        command = openssl_psk(*options, "-nocert", "-cipher", "PSK")
    else:
        issued = pki.ours.server("127.0.0.1")
        shown = CertificateCredential(issued.certificate, issued.key, pki.ours.bundle)
        command = openssl_certificate(*options, "-Verify", "1", credential=shown)

    async with program(*command) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = await within(accepting_port(server.stdout))
        client = RawClient(("127.0.0.1", port), PSK if kind == "psk" else pki.device())
        await client.handshake()
        server.stdin.write(b"from the server\n")
        assert await client.receive() == b"from the server\n"
        client.abort()


async def accepting_port(output: asyncio.StreamReader) -> int:
    """The port s_server says that it listens on."""
    async for line in output:
        if line.startswith(b"ACCEPT "):
            return int(line.rsplit(b":", 1)[1])
    raise AssertionError("s_server ended before it listened")
