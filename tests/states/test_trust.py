"""Whose word counts: tables of documents, and what a device makes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from states.decisions import Consideration, consider, supersedes
from states.model import Deployment, Package, Release
from states.reasons import Rejection
from states.signature import judge
from states.trust import SignedKeys, SignedRelease, Trust
from states.update import Update
from tests.states.world import release

RELEASE, OTHER = release("1"), release("2")
MODEL, LABELS = RELEASE.packages
PINNED = Trust().pinning(["root"])
DIGEST = "d" * 64
AFTER_5 = replace(PINNED, numbers={"root": 5}, signature=DIGEST, release=RELEASE.id)


def signed(number: int = 6, *by: str, of: Release = RELEASE, **more: object) -> SignedRelease:
    keys = frozenset(by or ("root",))
    return replace(SignedRelease(number, frozenset(of.packages), keys), **more)  # type: ignore[arg-type]


def key_list(number: int, roots: str, releases: str, *by: str) -> SignedKeys:
    return SignedKeys(number, frozenset(roots.split()), frozenset(releases.split()), frozenset(by))


def fault(document: SignedRelease, trust: Trust = AFTER_5) -> Rejection | None:
    found = judge(document, DIGEST, RELEASE, trust).fault
    return found.reason if found else None


REPLACED = frozenset({replace(MODEL, sha256="0" * 64), LABELS})
WITHOUT_LABELS = frozenset({MODEL})
WITH_ANOTHER = frozenset({MODEL, LABELS, Package("golden-set", "1", "c" * 64, 5)})
NEWER = key_list(1, "root", "daily", "root")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (signed(6), None),
        (signed(6, "root", "stranger"), None),
        (signed(6, broken=frozenset({"stranger"})), None),
        (signed(6, "stranger"), Rejection.SIGNATURE_UNKNOWN_KEY),
        (signed(6, signed=frozenset()), Rejection.SIGNATURE_BAD),
        (signed(6, "stranger", broken=frozenset({"root"})), Rejection.SIGNATURE_BAD),
        (signed(6, of=OTHER), Rejection.SIGNATURE_MISMATCH),
        (signed(6, packages=REPLACED), Rejection.SIGNATURE_MISMATCH),
        (signed(6, packages=WITHOUT_LABELS), Rejection.SIGNATURE_MISMATCH),
        (signed(6, packages=WITH_ANOTHER), Rejection.SIGNATURE_MISMATCH),
        (signed(5), None),
        (signed(4), Rejection.SIGNATURE_REPLAYED),
        (signed(6, "daily"), Rejection.SIGNATURE_UNKNOWN_KEY),
        (signed(6, "daily", key_lists=(NEWER,)), None),
        (signed(6, "root", key_lists=(NEWER,)), Rejection.SIGNATURE_UNKNOWN_KEY),
    ],
    ids=[
        "newest",
        "by a stranger too",
        "a stranger's signature is wrong",
        "by a stranger",
        "by nobody",
        "the known key's signature is wrong",
        "another release",
        "other bytes",
        "less than deployed",
        "more than deployed",
        "the same again",
        "an older one",
        "by a key nobody endorsed",
        "by an endorsed key",
        "by the key that was replaced",
    ],
)
def test_a_release_is_taken_on_a_trusted_word_alone(
    document: SignedRelease, expected: Rejection | None
) -> None:
    assert fault(document) is expected


def test_a_number_is_used_for_one_release() -> None:
    again = judge(signed(5, of=OTHER), "e" * 64, OTHER, AFTER_5)
    assert again.fault is not None
    assert again.fault.reason is Rejection.SIGNATURE_REPLAYED
    assert again.trust == AFTER_5


def test_what_was_accepted_is_remembered() -> None:
    trust = judge(signed(6), "e" * 64, RELEASE, AFTER_5).trust
    assert (trust.floor, trust.signature, trust.release) == (6, "e" * 64, RELEASE.id)


def test_what_differs_is_said() -> None:
    found = judge(signed(packages=REPLACED), DIGEST, RELEASE, PINNED).fault
    assert found is not None
    assert "ai-model 1 has other content" in found.detail
    found = judge(signed(of=OTHER), DIGEST, RELEASE, PINNED).fault
    assert found is not None
    assert "ai-model 1 in place of 2" in found.detail


@pytest.mark.parametrize(
    ("lists", "counting"),
    [
        ([NEWER], "daily"),
        ([key_list(1, "root", "daily", "daily")], "root"),
        ([key_list(1, "new", "daily", "root")], "root"),
        ([key_list(1, "new", "daily", "root", "new")], "daily"),
        ([NEWER, key_list(2, "root", "next", "root")], "next"),
        ([NEWER, key_list(2, "mallory", "mallory", "daily", "mallory")], "daily"),
        ([key_list(2, "root", "next", "root"), NEWER], "next"),
        (
            [key_list(1, "new", "new", "root", "new"), key_list(2, "new", "third", "new")],
            "third",
        ),
        ([key_list(1, "new", "new", "root", "new"), key_list(2, "root", "root", "root")], "new"),
    ],
    ids=[
        "signed by the root",
        "signed by a key that was none",
        "its roots have not signed",
        "signed by the old and the new root",
        "two in a row",
        "a release key can't make roots",
        "an older one afterwards",
        "a chain over a new root",
        "the old root counts no more",
    ],
)
def test_key_lists_are_followed_from_root_to_root(lists: list[SignedKeys], counting: str) -> None:
    trust = judge(signed(6, "x", key_lists=tuple(lists)), DIGEST, RELEASE, AFTER_5).trust
    assert trust.release_keys == {counting}


def test_newer_keys_count_though_the_release_that_brought_them_is_refused() -> None:
    judgement = judge(signed(6, "root", key_lists=(NEWER,)), DIGEST, RELEASE, AFTER_5)
    assert judgement.fault is not None
    assert judgement.trust.release_keys == {"daily"}
    assert judgement.trust.release == AFTER_5.release


def test_what_a_revoked_key_signed_is_judged_anew() -> None:
    mixed = judge(signed(6, "root", of=OTHER, key_lists=(NEWER,)), "e" * 64, RELEASE, AFTER_5)
    assert mixed.fault is not None
    assert not mixed.trust.has_accepted(deployed(SIGNATURE))
    assert fault(signed(5), mixed.trust) is Rejection.SIGNATURE_UNKNOWN_KEY


def test_pinning_one_more_key_lets_no_older_release_in() -> None:
    trust = AFTER_5.pinning(["root", "another"])
    assert fault(signed(4), trust) is Rejection.SIGNATURE_REPLAYED
    assert fault(signed(5), trust) is None
    assert fault(signed(1, "third"), trust.pinning(["third"])) is None


def test_a_stolen_key_has_not_the_last_word_once_it_is_revoked() -> None:
    stolen = judge(signed(2**53 - 1, "daily", key_lists=(NEWER,)), DIGEST, RELEASE, AFTER_5).trust
    assert fault(signed(7, "daily"), stolen) is Rejection.SIGNATURE_REPLAYED
    revoking = key_list(2, "root", "next", "root")
    assert fault(signed(7, "next", key_lists=(revoking,)), stolen) is None
    trust = judge(signed(7, "next", key_lists=(revoking,)), DIGEST, RELEASE, stolen).trust
    assert trust.floor == 7
    assert fault(signed(8, "daily"), trust) is Rejection.SIGNATURE_UNKNOWN_KEY


SIGNATURE = Package("release-signature", "6", DIGEST, 900)


def deployed(signature: Package | None, of: Release = RELEASE) -> Deployment:
    return Deployment(1, of, signature=signature)


@pytest.mark.parametrize(
    ("trust", "deployment", "accepted"),
    [
        (Trust(), deployed(None), True),
        (PINNED, deployed(None), False),
        (PINNED, deployed(SIGNATURE), False),
        (AFTER_5, deployed(SIGNATURE), True),
        (AFTER_5, deployed(SIGNATURE, OTHER), False),
        (AFTER_5, deployed(replace(SIGNATURE, sha256="e" * 64)), False),
    ],
)
def test_only_what_was_accepted_needs_no_look(
    trust: Trust, deployment: Deployment, accepted: bool
) -> None:
    assert trust.has_accepted(deployment) is accepted


@pytest.mark.parametrize(
    ("deployment", "rejected", "heard", "expected"),
    [
        (deployed(SIGNATURE), False, False, Consideration.NEWLY_SIGNED),
        (deployed(SIGNATURE), False, True, Consideration.ALREADY_ACTIVE),
        (deployed(SIGNATURE), True, False, Consideration.ALREADY_ACTIVE),
        (deployed(None), False, False, Consideration.ALREADY_ACTIVE),
        (deployed(SIGNATURE, OTHER), False, False, Consideration.NEW),
        (deployed(SIGNATURE, OTHER), True, False, Consideration.ALREADY_REJECTED),
    ],
)
def test_a_new_signature_of_what_serves_is_heard_once(
    deployment: Deployment, rejected: bool, heard: bool, expected: Consideration
) -> None:
    assert consider(deployment, RELEASE.id, rejected, heard) is expected


def test_another_signature_supersedes_the_update_under_way() -> None:
    update = Update(1, deployed(SIGNATURE), None)
    assert not supersedes(deployed(SIGNATURE), update)
    assert supersedes(deployed(replace(SIGNATURE, sha256="e" * 64)), update)


KEYS = st.sampled_from(["root", "daily", "mallory"])
DOCUMENTS = st.builds(
    signed,
    st.integers(1, 6),
    KEYS,
    of=st.sampled_from([RELEASE, OTHER]),
    key_lists=st.lists(
        st.builds(key_list, st.integers(1, 4), KEYS, KEYS, KEYS, KEYS), max_size=2
    ).map(tuple),
)


@given(st.lists(st.tuples(DOCUMENTS, st.sampled_from([RELEASE, OTHER])), max_size=12))
def test_no_sequence_of_documents_wins_more_than_its_keys_allow(
    offers: list[tuple[SignedRelease, Release]],
) -> None:
    trust, best = PINNED, dict[str, tuple[int, str]]()
    for document, of in offers:
        before, roots = trust, trust.root_keys
        judgement = judge(document, DIGEST, of, trust)
        trust = judgement.trust
        assert trust.root_keys
        assert trust.release_keys
        assert trust.list_number >= before.list_number
        if trust.list_number > before.list_number:
            assert any(keys.signed & roots for keys in document.key_lists)
        if judgement.fault is None:
            assert document.signed & trust.release_keys
            assert document.packages == frozenset(of.packages)
            for key in trust.release_keys & best.keys():
                assert (document.number, of.id) == best[key] or document.number > best[key][0]
            best |= dict.fromkeys(document.signed & trust.release_keys, (document.number, of.id))
