"""Signature packages on a real disk, as the law gets to see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.store.release_store import ReleaseStore
from agent.trust.documents import SignatureDocuments
from states.model import Package
from states.ports import Postponed, Rejected
from states.reasons import Rejection
from tests.support.releases import admit, new_store, package
from tests.support.signing import key_list, signature_of, text_of

PACKAGES = [package("ai-model", "2", b"model"), package("labels", "1", b"labels")]
FOREIGN = package("firmware", "9", b"of another program")
HANDLED = frozenset({"ai-model", "labels", "golden-set"})


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return new_store(tmp_path)


def admitted(store: ReleaseStore, content: bytes) -> Package:
    return admit(store, "release-signature", "7", content)


def test_packages_of_other_programs_are_left_out(store: ReleaseStore) -> None:
    content = signature_of([*PACKAGES, FOREIGN], 7, 1, key_lists=[key_list(1, [1], [2], 1)])
    document = SignatureDocuments(store, HANDLED).read(admitted(store, content))
    assert document.number == 7
    assert document.packages == frozenset(PACKAGES)
    assert document.signed == {text_of(1)}
    (keys,) = document.key_lists
    assert (*keys.root_keys, *keys.release_keys) == (text_of(1), text_of(2))


def test_what_is_no_document_is_refused(store: ReleaseStore) -> None:
    with pytest.raises(Rejected) as refusal:
        SignatureDocuments(store, HANDLED).read(admitted(store, b"{}"))
    assert refusal.value.reason is Rejection.SIGNATURE_MALFORMED


def test_one_that_is_damaged_on_disk_is_fetched_again(store: ReleaseStore) -> None:
    signature = admitted(store, signature_of(PACKAGES, 7, 1))
    path = store.blob_path(signature)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(Postponed):
        SignatureDocuments(store, HANDLED).read(signature)
    assert not store.has(signature)
