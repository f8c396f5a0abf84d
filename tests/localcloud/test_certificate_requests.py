"""``v1/csr``: a device gets a certificate for its own name and key, and for nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from aiocoap import Code
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from localcloud.settings import CloudSettings
from protocol.credentials import KeyPair, LoadedCertificate, load_certificates
from protocol.formats import ContentFormat
from tests.localcloud.certificate_requests import ask, csr
from tests.localcloud.conftest import SETTINGS
from tests.support.cloud import Bench, get


async def test_a_device_connects_with_what_it_was_given(bench: Bench) -> None:
    link = await bench.link(await bench.operator.device("camera"))
    key = ec.generate_private_key(ec.SECP256R1())
    answer = await ask(link, csr(key, "camera"))
    assert answer.code.is_successful()
    assert answer.opt.content_format == ContentFormat.OCTETS

    pair = KeyPair((x509.load_der_x509_certificate(answer.payload),), key)
    roots = load_certificates(bench.cloud.server_ca)
    greeting = await get(await bench.link(LoadedCertificate(pair, roots)), "hello")
    assert greeting.payload == b"Hello camera"


async def test_only_its_own_name_is_signed(bench: Bench) -> None:
    link = await bench.link(await bench.operator.device("camera"))
    key = ec.generate_private_key(ec.SECP256R1())
    assert (await ask(link, csr(key, "another"))).code == Code.FORBIDDEN
    assert (await ask(link, csr(key, "camera", "another"))).code == Code.FORBIDDEN


async def test_what_is_no_request_is_refused(bench: Bench) -> None:
    link = await bench.link(await bench.operator.device("camera"))
    good = csr(ec.generate_private_key(ec.SECP256R1()), "camera")
    forged = good[:-1] + bytes([good[-1] ^ 1])
    for payload in (b"", b"junk", forged):
        assert (await ask(link, payload)).code == Code.BAD_REQUEST


class TestWithoutPkiProvider:
    @pytest.fixture
    def settings(self) -> CloudSettings:
        return replace(SETTINGS, certificate_days=0)

    async def test_there_is_no_such_resource(self, bench: Bench) -> None:
        link = await bench.link(await bench.operator.device("camera"))
        key = ec.generate_private_key(ec.SECP256R1())
        assert (await ask(link, csr(key, "camera"))).code == Code.NOT_FOUND
