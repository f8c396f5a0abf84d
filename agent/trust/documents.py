"""Signature documents on disk, as the law judges them."""

from __future__ import annotations

from agent.store.files import storage_errors
from agent.store.release_store import ReleaseStore
from protocol.errors import CodecError
from protocol.signing import Signed, decode_document
from protocol.statements import KeyList, SignedPackage
from states.model import Package, Release
from states.ports import Postponed, Rejected
from states.reasons import Rejection, Transient
from states.trust import SignedKeys, SignedRelease


class SignatureDocuments:
    """Implements :class:`states.ports.Signatures`. Packages beside ``handled`` are left out:

    they belong to other updaters, as in manifests.
    """

    def __init__(self, store: ReleaseStore, handled: frozenset[str]) -> None:
        self._store = store
        self._handled = handled

    def read(self, signature: Package) -> SignedRelease:
        """What a signature package on disk says, and which keys verifiably signed it.

        Raises Rejected for what is no such document, Postponed for one that is damaged on disk.
        """
        if self._store.verify_blobs(Release((signature,))):
            raise Postponed(
                Transient.STORAGE_ERROR, f"{signature.name} was damaged; it is fetched again"
            )
        path = self._store.blob_path(signature)
        with storage_errors(path):
            content = path.read_bytes()
        try:
            document = decode_document(content)
        except CodecError as fault:
            raise Rejected(Rejection.SIGNATURE_MALFORMED, str(fault)) from fault
        release = document.release
        packages = (p for p in release.statement.packages if p.name in self._handled)
        return SignedRelease(
            number=release.statement.number,
            packages=frozenset(map(_package, packages)),
            signed=release.signed,
            broken=release.broken,
            key_lists=tuple(map(_keys, document.key_lists)),
        )


def _package(signed: SignedPackage) -> Package:
    return Package(signed.name, signed.version, signed.sha256, signed.size)


def _keys(listed: Signed[KeyList]) -> SignedKeys:
    statement = listed.statement
    return SignedKeys(
        statement.number,
        frozenset(statement.root_keys),
        frozenset(statement.release_keys),
        listed.signed,
    )
