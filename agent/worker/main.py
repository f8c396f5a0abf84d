"""The worker process: camera, engines and control socket around one event loop."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from agent.control.errors import ControlError
from agent.control.server import ControlServer
from agent.samples.settings import SampleSettings
from agent.samples.taker import SampleTaker
from agent.service.notify import StatusLine, keep_watchdog, notify
from agent.store.names import PackageNames
from agent.worker.camera.capture import Capture
from agent.worker.camera.frames import FrameStore
from agent.worker.camera.mailbox import Mailbox
from agent.worker.camera.source_address import SourceAddress
from agent.worker.ending import Ending
from agent.worker.engines.candidate import Loader
from agent.worker.engines.memory import Memory, watch_sizes
from agent.worker.engines.recovery import Recovery
from agent.worker.engines.serving import Serving
from agent.worker.engines.settings import EngineSettings
from agent.worker.engines.shadow import Shadow
from agent.worker.engines.swap import Swapper
from agent.worker.errors import EngineFailed, RuntimeUnavailable
from agent.worker.methods import ReleaseLayout, WorkerMethods
from agent.worker.onlookers import Onlookers
from agent.worker.settings import WorkerSettings
from agent.worker.versions import ModelVersions
from agent.worker.watch import ServiceWatch, status_text
from states.ports import Rejected

log = logging.getLogger(__name__)


async def run_worker(
    settings: WorkerSettings,
    state_dir: Path,
    *,
    names: PackageNames | None = None,
    samples: SampleSettings | None = None,
    reserve_bytes: int = 0,
    stop: asyncio.Event | None = None,
) -> bool:
    """Serve ``<state dir>/current`` and what the control socket asks for.

    Ends with SIGTERM, SIGINT or ``stop``; or because it was asked to start again: then True is
    returned, and whoever runs it has to do that. A release that can't be served is reported, and
    another one waited for. Samples leave ``reserve_bytes`` of the disk free. Raises SocketUnusable
    when the control socket can't be made.
    """
    layout, ending = (
        ReleaseLayout(state_dir, names or PackageNames()),
        Ending(stop or asyncio.Event()),
    )
    control = _listening(settings, state_dir)
    store, versions = FrameStore(), ModelVersions(state_dir)
    taker = SampleTaker(
        samples or SampleSettings(),
        state_dir,
        reserve_bytes=reserve_bytes,
        group=settings.group_may_control,
        source=str(SourceAddress.parse(settings.source)),
        frames=store,
        versions=versions,
    )
    onlookers = Onlookers(settings.preview, taker, versions, control.publish)
    try:
        with ending.by_signals(), onlookers.log_lines.attached():
            async with asyncio.TaskGroup() as tasks:
                await _run(settings, layout, control, store, onlookers, tasks, ending)
    finally:
        await control.close()
        store.close()
    return ending.again


def _listening(settings: WorkerSettings, state_dir: Path) -> ControlServer:
    socket = settings.socket_path(state_dir)
    # The worker may be started before the agent has ever run.
    for folder in (state_dir, socket.parent):
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    control = ControlServer()
    control.listen(socket, group=settings.group_may_control)
    return control


async def _run(
    settings: WorkerSettings,
    layout: ReleaseLayout,
    control: ControlServer,
    store: FrameStore,
    onlookers: Onlookers,
    tasks: asyncio.TaskGroup,
    ending: Ending,
) -> None:
    mailbox, publish = Mailbox(store), onlookers.publish
    capture = Capture(settings, store, mailbox, publish)
    serving, engines = Serving(store, mailbox), _engine_settings(settings)
    shadow = Shadow(serving, store, engines, tasks)
    recovery = Recovery(
        serving, shadow, store, engines, tasks, publish, lambda: layout.linked("previous")
    )
    memory = Memory(settings.memory_bytes)
    loader = Loader(serving, shadow, memory, store, engines)
    swapper = Swapper(serving, recovery, shadow, loader, publish)
    methods = WorkerMethods(
        layout,
        serving,
        swapper,
        recovery,
        shadow,
        memory,
        capture,
        store,
        onlookers.figures,
        onlookers.draw,
    )
    watch = ServiceWatch(settings, layout.state_dir)
    await control.serve({**methods.table(), **onlookers.table(), "restart": ending.restart})
    onlookers.start(methods, store)
    jobs = [
        tasks.create_task(serving.run(), name="classify"),
        tasks.create_task(capture.run(), name="capture"),
        tasks.create_task(_serve_current(layout, swapper, recovery), name="serve current"),
        tasks.create_task(watch_sizes(swapper.engines), name="sizes"),
        tasks.create_task(_tell_statistics(methods, control, settings), name="statistics"),
        tasks.create_task(keep_watchdog(watch.trouble), name="watchdog"),
    ]
    notify("READY=1")
    try:
        await ending.wait()
    finally:
        if not ending.again:  # otherwise the process goes on, with a new program in it
            notify("STOPPING=1")
        for job in jobs:
            job.cancel()
        await control.close()
        await onlookers.stop()
        await swapper.close()
        await asyncio.wait(jobs)


async def _serve_current(layout: ReleaseLayout, swapper: Swapper, recovery: Recovery) -> None:
    """Take up what was served before the worker was started again."""
    current = layout.linked("current")
    if current is None:
        log.info("no release is active yet; waiting for the agent")
        return
    try:
        await swapper.prepare(current)
        await swapper.commit(current.release)
    except ControlError as error:
        log.info("release %s gave way: %s", current.release, error.detail)
    except (Rejected, EngineFailed, RuntimeUnavailable, OSError) as error:
        recovery.last_error = f"release {current.release}: {error}"
        log.error("release %s can't be served, waiting for another: %s", current.release, error)


async def _tell_statistics(
    methods: WorkerMethods, control: ControlServer, settings: WorkerSettings
) -> None:
    line = StatusLine()
    while True:
        try:
            figures = methods.figures()
        except OSError as error:
            log.debug("no statistics: %s", error)
        else:
            line.show(status_text(figures))
            control.publish({"event": "statistics", **figures})
        await asyncio.sleep(settings.statistics_seconds)


def _engine_settings(settings: WorkerSettings) -> EngineSettings:
    return EngineSettings(
        runtime=settings.runtime,
        num_threads=settings.num_threads,
        top_k=settings.top_k,
        preprocessing=settings.preprocessing,
        load_seconds=settings.load_seconds,
        frame_seconds=settings.frame_seconds,
        watched_frame_seconds=settings.watched_frame_seconds,
        memory_bytes=settings.engine_memory_bytes,
    )
