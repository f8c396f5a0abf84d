"""Rate limit, server certificate and the changes that are told of, on their own."""

from __future__ import annotations

import asyncio
import sqlite3
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from localcloud.changes import Changes, Topic
from localcloud.errors import DataDirectoryError
from localcloud.gateway.rate_limit import RateLimit
from localcloud.regularly import Regularly
from localcloud.server_certificate import ensure_server_certificate
from localcloud.settings import CloudSettings
from tests.support.pki import Authority
from tests.support.waiting import within


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_twenty_requests_pass_and_then_one_each_fiftieth_of_a_second() -> None:
    assert CloudSettings().rate_limit == 20
    clock = Clock()
    limit = RateLimit(20, clock)
    assert [limit.take("a") for _ in range(21)] == [None] * 20 + [1]
    assert limit.take("b") is None, "each device has its own"
    clock.now += 0.06
    assert [limit.take("a"), limit.take("a")] == [None, 1]
    clock.now += 100
    assert [limit.take("a") for _ in range(21)] == [None] * 20 + [1], "a second's worth at most"


def test_a_slow_limit_tells_how_long_to_wait() -> None:
    limit = RateLimit(0.25, Clock())
    assert [limit.take("a"), limit.take("a")] == [None, 4]


def test_no_limit_lets_everything_pass() -> None:
    limit = RateLimit(None, Clock())
    assert {limit.take("a") for _ in range(1000)} == {None}


def test_the_server_certificate_is_for_this_host_and_chains_to_its_ca(tmp_path: Path) -> None:
    files = ensure_server_certificate(tmp_path / "pki", "cloud.lan")
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"localhost", "cloud.lan"}
    assert "127.0.0.1" in map(str, names.get_values_for_type(x509.IPAddress))
    ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
    certificate.verify_directly_issued_by(ca)
    assert files.key.stat().st_mode & 0o077 == 0
    # OpenSSL takes the pair, and the CA as a trust anchor.
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)
    ssl.create_default_context(cafile=str(files.ca))


def test_another_host_gets_a_new_certificate_under_the_same_ca(tmp_path: Path) -> None:
    first = ensure_server_certificate(tmp_path, "127.0.0.1")
    ca, certificate = first.ca.read_bytes(), first.certificate.read_bytes()
    ensure_server_certificate(tmp_path, "127.0.0.1")
    assert first.certificate.read_bytes() == certificate
    ensure_server_certificate(tmp_path, "192.0.2.1")
    assert first.certificate.read_bytes() != certificate
    assert first.ca.read_bytes() == ca


def test_an_authority_that_expires_is_made_anew_with_a_certificate_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localcloud.server_certificate._CA_LIFE", timedelta(days=29))
    first = ensure_server_certificate(tmp_path, "127.0.0.1")
    ca = first.ca.read_bytes()
    monkeypatch.undo()
    ensure_server_certificate(tmp_path, "127.0.0.1")
    assert first.ca.read_bytes() != ca
    certificate = x509.load_pem_x509_certificate(first.certificate.read_bytes())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(first.ca.read_bytes()))


def test_a_certificate_of_another_authority_is_left_alone(
    tmp_path: Path, authority: Authority
) -> None:
    files = ensure_server_certificate(tmp_path, "127.0.0.1")
    own = authority.server("localhost", "127.0.0.1", "::1")
    files.certificate.write_bytes(own.certificate.read_bytes())
    files.key.write_bytes(own.key.read_bytes())
    ensure_server_certificate(tmp_path, "127.0.0.1")
    assert files.certificate.read_bytes() == own.certificate.read_bytes()


async def test_what_fails_once_is_done_again_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls = 0
    done = asyncio.Event()

    def act() -> None:
        nonlocal calls
        calls += 1
        if calls < 4:
            raise sqlite3.OperationalError("database or disk is full")
        done.set()

    with caplog.at_level("INFO", "localcloud"):
        regularly = Regularly(0.001, act, "saving")
        await within(done.wait())
        regularly.close()
    assert [record.message for record in caplog.records] == [
        "saving: database or disk is full",
        "saving: works again",
    ]


def test_a_damaged_certificate_is_named(tmp_path: Path) -> None:
    files = ensure_server_certificate(tmp_path, "127.0.0.1")
    files.certificate.write_text("nonsense")
    with pytest.raises(DataDirectoryError, match="damaged certificate"):
        ensure_server_certificate(tmp_path, "127.0.0.1")


async def test_only_watchers_of_the_changed_key_are_woken() -> None:
    changes = Changes()
    heard: list[str] = []
    changes.listen(Topic.ACCESS, heard.append)
    with (
        changes.watch(Topic.STATE, "a") as one,
        changes.watch(Topic.STATE, "b") as two,
        changes.watch(Topic.MANIFEST, "a") as three,
    ):
        changes.publish(Topic.STATE, "a")
        assert [event.is_set() for event in (one, two, three)] == [True, False, False]
    changes.publish(Topic.STATE, "a")
    changes.publish(Topic.ACCESS, "x")
    assert heard == ["x"]
    await within(one.wait())
