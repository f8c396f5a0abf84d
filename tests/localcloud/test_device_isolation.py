"""One device reads, writes, hears and is certified for nothing but what is its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from aiocoap import DELETE, GET, POST, PUT, Code, Message
from cryptography.hazmat.primitives.asymmetric import ec

from localcloud.settings import CloudSettings
from localcloud.storage.store import Store
from protocol.client import ClientLink
from protocol.credentials import PskCredential
from protocol.formats import ContentFormat
from tests.localcloud.certificate_requests import ask, csr
from tests.localcloud.conftest import UNLIMITED
from tests.support.cloud import Bench, first, get, request
from tests.support.tenants import Tenant, Tenants

JSON_FORM, CBOR_FORM = ContentFormat.JSON, ContentFormat.CBOR


@pytest.fixture
def settings() -> CloudSettings:
    return UNLIMITED


@dataclass(frozen=True)
class Site:
    """A running cloud with two projects."""

    bench: Bench
    tenants: Tenants

    async def device(self, tenant: Tenant) -> ClientLink:
        return await self.bench.link(PskCredential(tenant.identity, tenant.marker.encode()))


@pytest.fixture
async def site(bench: Bench) -> Site:
    return Site(bench, Tenants.in_store(bench.cloud.store, bench.cloud.project.id))


async def test_a_device_reads_only_what_is_its_own(site: Site) -> None:
    tenants = site.tenants
    mine, theirs = [await site.device(tenant) for tenant in (tenants.me, tenants.they)]
    marker = tenants.they.marker
    for path in (
        f".u/c/{marker}@1",
        ".u/desired",
        ".d",
        ".d/marker",
        ".c",
        ".rpc",
        f".d/../{tenants.they.ids['device_id']}/marker",
        f".d/{tenants.they.ids['device_id']}",
        f"devices/{tenants.they.ids['device_id']}/.d",
        "hello",
    ):
        for options in ({}, {"accept": int(CBOR_FORM)}):
            answer = await get(mine, path, **options)
            assert answer.code == Code.NOT_FOUND or marker.encode() not in answer.payload, path
    # The quick way past aiocoap that downloads take.
    own, foreign = [await _block(mine, t.marker) for t in (tenants.me, tenants.they)]
    assert (own.payload, foreign.code) == (tenants.me.marker.encode(), Code.NOT_FOUND)
    there = await get(theirs, ".d/marker")
    assert there.payload == f'"{marker}"'.encode()


async def _block(link: ClientLink, package: str) -> Message:
    return await link.request(
        Message(code=GET, uri_path=(".u", "c", f"{package}@1"), block2=(0, False, 6))
    )


async def test_a_device_writes_only_what_is_its_own(site: Site) -> None:
    tenants = site.tenants
    mine = await site.device(tenants.me)
    store, they = tenants.store, tenants.they

    before = _belongings(store, they)
    for path in (
        ".d",
        ".d/marker",
        f".d/{they.ids['device_id']}/marker",
        f".u/c/{they.marker}",
        f".u/c/{they.marker}@1",
        ".s/marker",
        ".s/logs",
        ".c/status",
        ".rpc/status",
        f"devices/{they.ids['device_id']}/.d/marker",
    ):
        for code in (POST, PUT, DELETE):
            body = b'{"marker": "x", "level": "info", "msg": "x", "id": "x", "statusCode": 0}'
            await mine.request(request(code, path, body, content_format=int(JSON_FORM)))
    assert _belongings(store, they) == before


def _belongings(store: Store, tenant: Tenant) -> list[Any]:
    """Every row of the database that belongs to a tenant."""
    texts = (
        tenant.project_id,
        *(text for name, text in tenant.ids.items() if name.endswith("_id")),
    )
    tables = store._database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    rows = [
        row for table in tables for row in store._database.rows(f"SELECT * FROM {table['name']}")
    ]
    return [row for row in rows if any(value in texts for value in row.values())]


async def test_an_observer_hears_of_its_own_changes_only(site: Site) -> None:
    tenants = site.tenants
    mine = await site.device(tenants.me)
    store = tenants.store
    watched = [
        mine.observe(Message(code=GET, uri_path=path, accept=int(JSON_FORM)), every=True)
        for path in ((".d",), (".u", "desired"), (".c",), (".rpc",))
    ]
    for observation in watched:
        await first(observation)
    they = tenants.they
    store.state.write(they.ids["device_id"], ["marker"], "new")
    store.settings.change(they.project_id, they.ids["setting_id"], "new")
    artifact = store.artifacts.create(they.project_id, "new", "1", b"new")
    store.deployments.create(they.project_id, they.ids["cohort_id"], "new", [artifact.id])
    store.state.write(tenants.me.ids["device_id"], ["own"], 7)
    told = await first(watched[0])
    assert told.payload == b'{"marker":"%b","own":7}' % tenants.me.marker.encode()
    heard = [message.payload for observation in watched for message in observation._waiting]
    assert [payload for payload in heard if b"new" in payload] == []
    for observation in watched:
        observation.cancel()


async def test_a_device_gets_a_certificate_in_its_own_name_only(site: Site) -> None:
    tenants = site.tenants
    mine = await site.device(tenants.me)
    key = ec.generate_private_key(ec.SECP256R1())
    for name, project in (
        (tenants.they.marker, tenants.they.project_id),
        (tenants.me.marker, tenants.they.project_id),
        (tenants.they.marker, tenants.me.project_id),
    ):
        assert (await ask(mine, csr(key, name, project))).code == Code.FORBIDDEN
    own = await ask(mine, csr(key, tenants.me.marker, tenants.me.project_id))
    assert own.code.is_successful()
