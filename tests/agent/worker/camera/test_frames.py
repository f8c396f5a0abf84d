from __future__ import annotations

import asyncio
import mmap
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.worker.camera.frames import (
    MAX_PIXELS,
    SLOT_BYTES,
    SLOTS,
    Frame,
    FrameStore,
)
from agent.worker.camera.mailbox import Mailbox
from agent.worker.camera.pictures import frame_view, put_picture
from agent.worker.model.tensors import Picture


def picture(value: int, height: int = 4, width: int = 6) -> Picture:
    return np.full((height, width, 3), value, np.uint8)


def write(store: FrameStore, picture: Picture) -> tuple[int, int, int] | None:
    """What the capture process does: slot, height and width; None without a free slot."""
    slot = store.reserve()
    if slot is None:
        return None
    memory = mmap.mmap(store.writable, SLOTS * SLOT_BYTES)
    return slot, *put_picture(memory, slot, picture)


def stored(store: FrameStore, number: int) -> Frame:
    written = write(store, picture(number % 256))
    assert written
    return Frame(number, *written, captured_at=0.0)


def test_a_reader_of_the_shared_memory_sees_the_picture_and_can_not_change_it() -> None:
    store = FrameStore()
    frame = stored(store, 7)
    memory = mmap.mmap(store.read_only, SLOTS * SLOT_BYTES, prot=mmap.PROT_READ)
    view = frame_view(memory, frame.slot, frame.height, frame.width)
    assert np.array_equal(view, picture(7))
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    with pytest.raises(PermissionError):
        mmap.mmap(store.read_only, SLOTS * SLOT_BYTES, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    store.close()


def test_a_slot_is_free_again_when_its_last_user_is_done() -> None:
    store = FrameStore()
    frames = [stored(store, number) for number in range(SLOTS)]
    assert write(store, picture(0)) is None
    store.retain(frames[3])
    store.release(frames[3])
    assert write(store, picture(0)) is None
    store.release(frames[3])
    written = write(store, picture(9))
    assert written
    assert written[0] == frames[3].slot
    store.close()


def test_a_picture_larger_than_a_slot_is_made_smaller_and_keeps_its_shape() -> None:
    store = FrameStore()
    written = write(store, np.full((4000, 6000, 3), 50, np.uint8))
    assert written
    slot, height, width = written
    assert height * width <= MAX_PIXELS
    assert width / height == pytest.approx(1.5, rel=0.01)
    assert np.all(store.view(Frame(0, slot, height, width, 0.0)) == 50)
    store.close()


@given(st.lists(st.sampled_from(["put", "lose", "take", "look"]), max_size=60))
@settings(suppress_health_check=list(HealthCheck), max_examples=60)
def test_every_frame_is_taken_dropped_or_waiting_and_takers_get_the_newest(
    events: list[str],
) -> None:
    asyncio.run(_check_mailbox(events))


async def _check_mailbox(events: list[str]) -> None:
    store = FrameStore()
    mailbox = Mailbox(store)
    captured = taken = dropped = 0
    for event in events:
        if event == "put":
            mailbox.put(stored(store, captured))
            captured += 1
        elif event == "lose":
            mailbox.lose()
            captured += 1
        elif event == "take" and (frame := mailbox.take()):
            taken += 1
            assert frame.number < captured
            store.release(frame)
        else:
            mail = mailbox.collect()
            dropped += mail.dropped
            assert mail.captured == captured == taken + dropped + mail.waiting
    store.close()


async def test_a_taker_is_told_when_all_that_came_at_once_is_there() -> None:
    store = FrameStore()
    mailbox = Mailbox(store)
    taken: list[Frame | None] = []
    mailbox.arrived = lambda: taken.append(mailbox.take())
    for number in range(3):
        mailbox.put(stored(store, number))
    assert not taken
    await asyncio.sleep(0)
    assert [frame and frame.number for frame in taken] == [2]
    assert mailbox.take() is None
    store.close()


def test_closing_gives_the_descriptor_back() -> None:
    store = FrameStore()
    store.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(store.read_only)
