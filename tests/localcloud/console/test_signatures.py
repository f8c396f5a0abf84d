"""What the console says to a deployment that devices with a pinned key would refuse."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from localcloud.console.signatures import SIGNATURE_PACKAGE, refusal
from localcloud.console.visit import Visit
from localcloud.model import Artifact
from provisioning.operator_settings import SIGNATURE_PACKAGE as OPERATORS_NAME
from states.model import Package
from tests.support.signing import signature_of


class Shelf:
    """Published versions, each of its own content."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    def publish(self, package: str, version: str, content: bytes = b"") -> Artifact:
        body = content or f"{package} {version}".encode()
        return self._visit.store.artifacts.create(self._visit.project_id, package, version, body)

    def sign(self, number: int, *artifacts: Artifact) -> Artifact:
        packages = [Package(a.package, a.version, a.sha256, int(a.size), "") for a in artifacts]
        return self.publish(SIGNATURE_PACKAGE, str(number), signature_of(packages, number, 1))


Deployments = tuple[Sequence[Artifact], Sequence[Artifact]]


def deployments(shelf: Shelf) -> dict[str, Deployments]:
    """What a cohort has and is to be given."""
    one, two, other = (shelf.publish("ai-model", v) for v in ("1", "2", "3"))
    labels, program = shelf.publish("labels", "1"), shelf.publish("program", "7")
    first, second = shelf.sign(10, one, labels), shelf.sign(20, two, labels)
    damaged = shelf.publish(SIGNATURE_PACKAGE, "30", b"{}")
    return {
        "nobody signs here": ([one, labels], [two, labels]),
        "another cohort's whole release": ([one, labels, first], [two, labels, second, program]),
        "the first that is signed": ([one, labels], [two, labels, second]),
        "what was damaged before": ([one, labels, damaged], [two, labels, second]),
        "unsigned": ([one, labels, first], [two, labels]),
        "another model": ([two, labels, second], [other, labels, second]),
        "labels left out": ([two, labels, second], [two, second]),
        "an older one again": ([two, labels, second], [one, labels, first]),
        "damaged": ([one, labels, first], [two, labels, damaged]),
    }


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("nobody signs here", None),
        ("another cohort's whole release", None),
        ("the first that is signed", None),
        ("what was damaged before", None),
        ("unsigned", "signature-missing"),
        ("another model", "another ai-model (signature-mismatch)"),
        ("labels left out", "another labels (signature-mismatch)"),
        ("an older one again", "signature-replayed"),
        ("damaged", "signature-malformed"),
    ],
)
def test_what_devices_would_refuse_is_named(visit: Visit, what: str, reason: str | None) -> None:
    before, after = deployments(Shelf(visit))[what]
    found = refusal(visit, before, after)
    if reason is None:
        assert found is None
    else:
        assert found
        assert reason in found


def test_the_operators_commands_sign_under_the_same_name() -> None:
    assert SIGNATURE_PACKAGE == OPERATORS_NAME
