"""Whole lists of the store, which gives them page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from localcloud.storage.database import Paging

T = TypeVar("T")


def every(page: Callable[[Paging], tuple[list[T], int]]) -> Iterator[T]:
    """All records of a list."""
    number = 0
    while True:
        records, total = page(Paging(number))
        yield from records
        number += 1
        if not records or number * Paging().per_page >= total:
            return
