"""Pinned keys: readable, of the right kind, which; and what key lists made of them."""

from __future__ import annotations

from collections.abc import Iterator

from agent.doctor.facts import fact
from agent.doctor.finding import Finding, Patient, failed, ok, warning
from agent.errors import ConfigurationError
from agent.journal.trust import TRUST_FACT, as_trust
from agent.trust.settings import PinnedKey, pinned_key
from states.trust import Trust


async def examine_trust(patient: Patient) -> list[Finding]:
    """Every key of ``trust.public_keys``, and what the journal knows of them."""
    settings = patient.settings
    if not settings.trust.public_keys:
        return [ok("no keys are pinned: releases need no signature")]
    findings, pinned = [], set()
    for text in settings.trust.public_keys:
        try:
            key = pinned_key(text)
        except ConfigurationError as problem:
            findings.append(failed(problem))
            continue
        pinned.add(key.key)
        findings.append(ok(f"pinned: {_shown(key)}"))
    known = as_trust(fact(settings.device.state_dir, TRUST_FACT))
    return [*findings, *_learned(known, frozenset(pinned))]


def _shown(key: PinnedKey) -> str:
    return f"{key.key} of {key.file}" if key.file else key.key


def _learned(trust: Trust, pinned: frozenset[str]) -> Iterator[Finding]:
    if trust.pinned != pinned:
        yield warning(
            "the agent was not started since these keys were pinned",
            "restart it: systemctl restart edgeferry-agent",
        )
        return
    if trust.list_number:
        keys = ", ".join(sorted(trust.release_keys))
        yield ok(f"key list {trust.list_number} counts: releases are signed with {keys}")
    if trust.floor:
        yield ok(f"the newest signature accepted has number {trust.floor}")
