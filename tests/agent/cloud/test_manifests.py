"""What a manifest means to this agent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.cloud.manifests import deployment_of
from protocol.delta import LARGEST
from protocol.manifest import Component, Manifest
from states.model import Companion, Package

HANDLED = frozenset({"ai-model", "labels"})
MODEL = Component("ai-model", "2", "a" * 64, 1000, "/.u/c/ai-model@2")
LABELS = Component("labels", "1", "b" * 64, 10, "/.u/c/labels@1")
VERSION = "0123abcd" + "a" * 8
PATCH = Component("ai-model-delta", VERSION, "c" * 64, 50, f"/.u/c/ai-model-delta@{VERSION}")


def companions(*parts: Component) -> tuple[Companion, ...]:
    deployment = deployment_of(Manifest(1, parts), HANDLED)
    assert deployment is not None
    return deployment.companions


def test_a_companion_is_no_part_of_the_release() -> None:
    plain = deployment_of(Manifest(1, (MODEL, LABELS)), HANDLED)
    helped = deployment_of(Manifest(2, (PATCH, MODEL, LABELS)), HANDLED)
    assert plain is not None
    assert helped is not None
    assert helped.release == plain.release
    assert [package.name for package in helped.release.packages] == ["ai-model", "labels"]
    assert plain.companions == ()


def test_a_companion_names_its_package_and_the_base() -> None:
    patch = Package("ai-model-delta", VERSION, "c" * 64, 50, PATCH.uri)
    found = companions(MODEL, PATCH)
    assert found == (Companion("ai-model", "0123abcd", patch),)
    assert found[0].patch.uri == PATCH.uri


def test_there_may_be_several() -> None:
    other = replace(PATCH, package="ai-model-delta1", version="f" * 8 + "a" * 8)
    assert [c.base for c in companions(MODEL, PATCH, other)] == ["0123abcd", "ffffffff"]


@pytest.mark.parametrize(
    "part",
    [
        replace(PATCH, version="0123abcd" + "b" * 8),
        replace(PATCH, version="1"),
        replace(PATCH, package="other-delta"),
        replace(PATCH, package="labels-delta"),
    ],
    ids=["other target", "other version", "other package", "target of another package"],
)
def test_what_makes_no_package_of_the_deployment_is_ignored(part: Component) -> None:
    assert companions(MODEL, LABELS, part) == ()


def test_patches_alone_deploy_nothing() -> None:
    assert deployment_of(Manifest(1, (PATCH,)), HANDLED) is None


def test_a_package_too_large_for_a_patch_comes_in_full() -> None:
    assert companions(replace(MODEL, size=LARGEST), PATCH)
    assert companions(replace(MODEL, size=LARGEST + 1), PATCH) == ()


def test_a_signature_is_no_part_of_the_release_either() -> None:
    part = Component("release-signature", "7", "d" * 64, 900, "/.u/c/release-signature@7")
    manifest = Manifest(1, (MODEL, LABELS, part))
    plain = deployment_of(manifest, HANDLED)
    signed = deployment_of(manifest, HANDLED, "release-signature")
    assert plain is not None
    assert signed is not None
    assert plain.signature is None, "nobody asks for one"
    assert signed.signature == Package("release-signature", "7", "d" * 64, 900)
    assert signed.release == plain.release
