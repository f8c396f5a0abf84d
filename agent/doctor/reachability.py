"""The way to the cloud: the name resolves, and a real handshake and a real request succeed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from agent.credentials.keeper import CredentialKeeper
from agent.credentials.renewed import RenewedPairs
from agent.doctor.facts import link_fact
from agent.doctor.finding import Finding, Patient, error, failed, ok
from agent.errors import ConfigurationError
from protocol.client import ClientLink, connect
from protocol.dialling import resolve
from protocol.errors import CredentialError, DeviceNotAdmitted, LinkError, LinkLost, ResponseError
from protocol.formats import ContentFormat
from protocol.requests import get, raise_for_error

ANSWER_SECONDS = 10.0


async def examine_reachability(patient: Patient) -> list[Finding]:
    """Resolve, shake hands, ask for the manifest.

    A running agent that is connected is believed instead: a second session of the same device
    would end the first.
    """
    host, port = patient.settings.golioth.address
    try:
        async with asyncio.timeout(patient.settings.golioth.handshake_seconds):
            addresses = await resolve(host, port, None)
    except TimeoutError:
        return [error(f"{host} was not resolved in time", "check this device's DNS server")]
    except LinkError as problem:
        return [failed(problem)]
    shown = ", ".join(str(address[1][0]) for address in addresses)
    resolved = [] if shown == host else [ok(f"{host} is {shown}")]
    return [*resolved, *await _link(patient)]


async def _link(patient: Patient) -> list[Finding]:
    link = link_fact(patient.settings)
    if patient.agent_runs and link.get("up"):
        return [ok("the running agent is connected")]
    golioth = patient.settings.golioth
    renewed = RenewedPairs(patient.settings.device.state_dir)
    try:
        keeper = CredentialKeeper(golioth.source(), renewed, patient.known_time)
        opened = await connect(
            *golioth.address,
            keeper.read(),
            now=patient.known_time.now(),
            handshake_timeout=golioth.handshake_seconds,
        )
    except ConfigurationError:
        return [error("no handshake without a credential", "configure one: docs/credentials.md")]
    except (LinkError, CredentialError) as problem:
        return [failed(problem)]
    try:
        return [*_described(opened), *await _asked(opened)]
    finally:
        await opened.close()


def _described(link: ClientLink) -> Iterator[Finding]:
    server = link.server_certificate
    by = f"; the server's certificate is by {server.issuer.rfc4514_string()}" if server else ""
    yield ok(f"DTLS handshake with {link.cipher}{by}")


async def _asked(link: ClientLink) -> list[Finding]:
    """A server may shake hands with a device that no project admits."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await link.request(get(".u/desired", ContentFormat.CBOR, (0, 6)))
        raise_for_error(answer)
    except TimeoutError:
        problem = LinkError("no answer to a request; the way to the server may lose packets")
        return [failed(problem)]
    except LinkLost as loss:
        return [failed(DeviceNotAdmitted() if link.was_refused else loss)]
    except (LinkError, ResponseError) as problem:
        return [error(str(problem), "check that the device is enabled in its project")]
    return [ok(f"the server answers: {len(answer.payload)} bytes of manifest")]
