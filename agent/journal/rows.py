"""An update as a row of the table ``updates``, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from states.model import Companion, Deployment, Package, Release
from states.reasons import Rejection, Transient
from states.update import Outcome, Update


def as_row(update: Update) -> dict[str, Any]:
    """Every column but those of time."""
    deployment = update.deployment
    packages = [asdict(package) for package in deployment.release.packages]
    companions = [asdict(companion) for companion in deployment.companions]
    return {
        "id": update.id,
        "release_id": update.release_id,
        "sequence": update.deployment.sequence,
        "packages": json.dumps(packages),
        "companions": json.dumps(companions),
        "signature": json.dumps(asdict(deployment.signature)) if deployment.signature else None,
        "fallback": update.fallback,
        "attempts": update.attempts,
        "resumes": update.resumes,
        "retry_delay": update.retry_delay,
        "outcome": update.outcome,
        "reason": update.reason,
        "detail": update.detail,
    }


def as_update(row: Mapping[str, Any]) -> Update:
    """What :func:`as_row` wrote."""
    packages = tuple(Package(**package) for package in json.loads(row["packages"]))
    companions = tuple(
        Companion(c["package"], c["base"], Package(**c["patch"]))
        for c in json.loads(row["companions"])
    )
    signature = Package(**json.loads(row["signature"])) if row["signature"] else None
    return Update(
        id=row["id"],
        deployment=Deployment(row["sequence"], Release(packages), companions, signature),
        fallback=row["fallback"],
        attempts=row["attempts"],
        resumes=row["resumes"],
        retry_delay=row["retry_delay"],
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        reason=_reason(row["reason"]),
        detail=row["detail"],
    )


def _reason(value: str | None) -> Rejection | Transient | None:
    if not value:
        return None
    return Rejection(value) if value in set(Rejection) else Transient(value)
