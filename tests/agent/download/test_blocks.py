"""Sets of block numbers."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent.download.block_set import BlockSet


def test_a_block_set_is_four_bytes_for_what_came_in_order() -> None:
    assert len(BlockSet(100_000, range(70_000)).encode()) == 4
    in_a_window = BlockSet(100_000, itertools.chain(range(70_000), range(70_001, 70_256)))
    assert len(in_a_window.encode()) == 4 + 32


@given(st.integers(0, 400), st.data())
def test_a_block_set_reads_back_as_it_was(total: int, data: st.DataObject) -> None:
    numbers = data.draw(st.sets(st.integers(0, total - 1))) if total else set()
    blocks = BlockSet(total, numbers)
    assert BlockSet.decode(blocks.encode(), total) == blocks
    assert len(blocks) == len(numbers)
    assert all((number in blocks) == (number in numbers) for number in range(-1, total + 1))
    assert blocks.complete == (len(numbers) == total)


@given(st.binary(max_size=60), st.integers(0, 400))
def test_any_bytes_are_a_block_set_within_range_or_a_value_error(data: bytes, total: int) -> None:
    try:
        blocks = BlockSet.decode(data, total)
    except ValueError:
        return
    assert len(blocks) <= total
    assert blocks.next_missing(0) == next((n for n in range(total) if n not in blocks), None)
    assert BlockSet.decode(blocks.encode(), total) == blocks


@given(st.sets(st.integers(0, 99)), st.integers(0, 100), st.integers(0, 99))
def test_block_sets_can_be_cut_searched_and_split(
    numbers: set[int], limit: int, start: int
) -> None:
    blocks = BlockSet(100, numbers)
    assert blocks.below(limit) == BlockSet(100, {n for n in numbers if n < limit})
    assert blocks.next_missing(start) == next(
        (n for n in range(start, 100) if n not in numbers), None
    )
    parts = blocks.split(4, 397)
    assert parts == BlockSet(397, {p for p in range(397) if p // 4 in numbers})
