"""A local cloud's store with two projects, in which nothing that is tried lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from localcloud.changes import Changes
from localcloud.storage.store import Store
from tests.fuzz.target import require
from tests.support.tenants import Tenant, furnish


class _Undo(Exception):  # noqa: N818 - an order
    """Ends a transaction."""


@dataclass(frozen=True)
class Tenants:
    """``mine`` is who attacks, ``theirs`` who must not notice."""

    folder: Path
    store: Store
    changes: Changes
    mine: Tenant
    theirs: Tenant
    api_key: str

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Take back what is written meanwhile, and look that the other project has what it had."""
        with suppress(_Undo), self.store.atomic():
            yield
            state = self.store.state.read(self.theirs.ids["device_id"], [])
            require(state == {"marker": self.theirs.marker}, "another project's data was changed")
            raise _Undo


@contextmanager
def tenants() -> Iterator[Tenants]:
    """Open such a store."""
    with TemporaryDirectory() as folder:
        changes = Changes()
        store = Store(Path(folder) / "cloud", changes)
        mine, theirs = (store.projects.ensure(n, "Acme") for n in ("Warehouse", "Elsewhere"))
        key = store.api_keys.create(mine.id, "attacker").key or ""
        yield Tenants(
            Path(folder), store, changes, furnish(store, mine.id), furnish(store, theirs.id), key
        )
        store.close()
