"""Whose word counts on this device, and what it has heard of them so far. No I/O.

A device with pinned keys takes only signed releases. What it has learned since (newer keys, the
highest number of each) is a :class:`Trust`, which the journal keeps. Signatures were checked
before: here a statement comes with the keys that verifiably signed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from states.model import Deployment, Package


@dataclass(frozen=True)
class SignedKeys:
    """A key list, and the keys that ``signed`` it. Complete: what it does not name is revoked."""

    number: int
    root_keys: frozenset[str]
    release_keys: frozenset[str]
    signed: frozenset[str]


@dataclass(frozen=True)
class SignedRelease:
    """What a signature document says, of the packages that this device handles.

    ``broken`` are keys named with a signature that is not theirs, ``key_lists`` the oldest first.
    """

    number: int
    packages: frozenset[Package]
    signed: frozenset[str]
    broken: frozenset[str] = frozenset()
    key_lists: tuple[SignedKeys, ...] = ()


@dataclass(frozen=True)
class Trust:
    """The keys that count, and what was accepted of them.

    ``pinned`` are those of the configuration; without any, no signature is asked for. Key lists
    replace ``root_keys`` and ``release_keys``. ``numbers`` has the highest accepted number of every
    key; ``signature`` is the SHA-256 of the document accepted last, and ``release`` what it signs.
    """

    pinned: frozenset[str] = frozenset()
    list_number: int = 0
    root_keys: frozenset[str] = frozenset()
    release_keys: frozenset[str] = frozenset()
    numbers: Mapping[str, int] = field(default_factory=dict)
    signature: str | None = None
    release: str | None = None

    def pinning(self, pinned: Iterable[str]) -> Trust:
        """The trust once these keys are pinned: each may sign lists and releases.

        Who pins other keys than before wants key lists to begin anew. Numbers stay: they hold for
        each key by itself, so that no older release of one that stays is let in.
        """
        keys = frozenset(pinned)
        return replace(
            self, pinned=keys, list_number=0, root_keys=keys, release_keys=keys, signature=None
        )

    @property
    def demanded(self) -> bool:
        """Whether releases must be signed."""
        return bool(self.pinned)

    @property
    def floor(self) -> int:
        """The number below which nothing is accepted any more.

        Numbers of revoked keys do not count: who stole a key and signed the highest number there is
        with it must not have the last word.
        """
        return max((self.numbers.get(key, 0) for key in self.release_keys), default=0)

    def has_accepted(self, deployment: Deployment) -> bool:
        """Whether nothing is left to check: unsigned is good enough, or this was accepted last."""
        if not self.demanded:
            return True
        signature = deployment.signature
        accepted = signature is not None and signature.sha256 == self.signature
        return accepted and deployment.release.id == self.release


def followed(trust: Trust, key_lists: Iterable[SignedKeys]) -> Trust:
    """The trust after every newer list that a root key signed, one before it and one of its own.

    The second proves that the list's root keys exist, so that no list locks the operator out.
    """
    for keys in key_lists:
        newer = keys.number > trust.list_number
        if newer and keys.signed & trust.root_keys and keys.signed & keys.root_keys:
            trust = replace(
                trust,
                list_number=keys.number,
                root_keys=keys.root_keys,
                release_keys=keys.release_keys,
                signature=None,  # judged anew if it comes again: its key may be revoked
            )
    return trust
