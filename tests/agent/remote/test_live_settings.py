"""The verdict on settings is told once for each version, and followers hear of changes alone."""

from __future__ import annotations

import asyncio

import pytest

from agent.config import Settings
from agent.remote import live_settings
from agent.remote.live_settings import LiveSettings
from protocol.device_settings import DeviceSettings, SettingsStatus
from protocol.errors import LinkLost


class Facts(dict[str, str]):
    """A journal's facts."""

    def fact(self, name: str) -> str | None:
        return self.get(name)

    def note_fact(self, name: str, value: str) -> None:
        self[name] = value


class Session:
    """A link that is lost for the first reports."""

    def __init__(self, losses: int = 0) -> None:
        self.told: list[SettingsStatus] = []
        self._losses = losses

    async def wait_connected(self) -> None:
        pass

    async def report_settings(self, status: SettingsStatus) -> None:
        if self._losses:
            self._losses -= 1
            raise LinkLost("gone")
        self.told.append(status)


async def told_of(facts: Facts, *sent: DeviceSettings, losses: int = 0) -> list[int | None]:
    """The versions reported by an agent that gets these one after the other."""
    live, session = LiveSettings(Settings(), facts), Session(losses)
    running = asyncio.create_task(live.run(session))
    for settings in sent:
        live.take(settings)
        for _ in range(5):
            await asyncio.sleep(0.002)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return [status.version for status in session.told]


async def test_a_verdict_is_told_once_for_each_version_also_over_restarts() -> None:
    facts = Facts()
    first = DeviceSettings(1, {"UPDATE_WINDOW_FRAMES": 7})
    second = DeviceSettings(2, {"UPDATE_WINDOW_FRAMES": 8})
    assert await told_of(facts, first, first, first) == [1]
    assert await told_of(facts, first) == []
    assert await told_of(facts, second, first) == [2, 1]
    # As in Golioth's SDK: nothing is said of no settings.
    assert await told_of(facts, DeviceSettings(3)) == []


async def test_a_verdict_that_was_lost_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_settings, "FIRST_PAUSE_SECONDS", 0.0001)
    wanted = DeviceSettings(1, {"NO_SUCH": 1})
    assert await told_of(Facts(), wanted, wanted, wanted, losses=2) == [1]


def test_who_follows_a_value_hears_of_its_changes_alone() -> None:
    facts = Facts()
    live = LiveSettings(Settings(), facts)
    heard: list[int] = []
    live.follow(lambda settings: settings.update.window_frames, heard.append)
    for version, values in ((1, {"UPDATE_WINDOW_FRAMES": 7}), (2, {"UPDATE_WINDOW_FRAMES": 7})):
        live.take(DeviceSettings(version, values))
    live.take(DeviceSettings(3, {"UPDATE_WINDOW_FRAMES": 7, "SAMPLES_ON": True}))
    live.take(DeviceSettings(4, {"UPDATE_WINDOW_FRAMES": 0}))
    assert heard == [300, 7, 300]
    assert LiveSettings(Settings(), facts).current.update.window_frames == 300
