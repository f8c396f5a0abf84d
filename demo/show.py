"""Plays the journey on a terminal: set-up, steps with progress, and the table at the end."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agent.commands.story import show_window
from demo.cloud_process import CloudProcess
from demo.fleet import Files, Fleet
from demo.journey import PATIENCE, PICTURES, Journey, Measured, Step, StepFailed
from demo.journey import as_json as to_json
from demo.stage import Device, Document, StageError
from provisioning.pki import KeyPair

Lines = list[tuple[Step, Measured]]

DATA = Path(__file__).parent
DEVICE_NAME = "demo-camera"
FRAMES_PER_SECOND = 20


def play(folder: Path | None, *, keep: bool, as_json: bool) -> bool:
    """Play all steps; True when every one held."""
    # As Ctrl-C does it: nothing that was started may stay behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=as_json)
    with ExitStack() as stack:
        work = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeferry-")))
        console.print(f"working in {work}")
        lines = _play_all(work, console, stack, keep=keep)
    if as_json:
        print(to_json(lines))
    return all(line.held for _, line in lines)


def _play_all(work: Path, console: Console, stack: ExitStack, *, keep: bool) -> Lines:
    files = gather()
    with console.status("starting the local cloud, agent and worker"):
        cloud, fleet, device = set_the_stage(work, files, stack)
    console.print(f"local cloud at {cloud.address.http}, its rate limit lifted; one camera, 20 fps")
    lines: Lines = []
    journey = Journey(fleet, device, files)
    for step in journey.steps():
        line = _play_one(step, console)
        lines.append((step, line))
        if not line.held:
            console.print(device.log_tail(), markup=False)
            break
    if journey.rolled_back:
        _tell_why(journey.rolled_back, console)
    console.print(table(lines))
    if keep:
        _stay(cloud, device, console)
    return lines


def _play_one(step: Step, console: Console) -> Measured:
    started = time.monotonic()
    with console.status(step.title):
        try:
            line = step.play()
        except (StepFailed, StageError) as failure:
            line = Measured(held=False, note=str(failure).splitlines()[0])
    mark = "[green]held[/]  " if line.held else "[red]failed[/]"
    note = f", {line.note}" if line.note else ""
    console.print(f"{mark} {step.title} ({time.monotonic() - started:.1f} s{note})")
    return line


def _tell_why(story: Document, console: Console) -> None:
    """What a person would look at after the roll-back, shortened."""
    console.print(
        f"\n[bold]$ edgeferry explain {story['update']}[/]   (shortened)", highlight=False
    )
    console.print(story["verdict"], markup=False, highlight=False)
    show_window(story["window"], console)
    console.print()


def gather() -> Files:
    """The demo's models and pictures."""
    models = DATA / "models"
    return Files(
        model_1=models / "model-1.tflite",
        model_2=models / "model-2.tflite",
        three_outputs=models / "three-outputs.tflite",
        collapsed=models / "collapsed.tflite",
        another_model=models / "model-2-retrained-head.tflite",
        labels=models / "labels.txt",
        pictures=DATA / "pictures",
    )


def set_the_stage(work: Path, files: Files, stack: ExitStack) -> tuple[CloudProcess, Fleet, Device]:
    """Start the cloud, make a certificate, start agent and worker, adopt the device."""
    cloud = CloudProcess(work / "cloud", rate_limit=0)
    address = cloud.start()
    stack.callback(cloud.process.stop)
    fleet = Fleet(address)
    stack.callback(fleet.close)
    certificate = fleet.issue_certificate(work / "pki", DEVICE_NAME)
    device = Device(work / "device")
    device.configure(configuration(cloud, certificate, files))
    stack.callback(device.stop)
    device.start("worker")
    device.start("run")
    device.await_status("the agent connects", lambda status: status["connected"], PATIENCE)
    fleet.adopt(DEVICE_NAME, PATIENCE)
    return cloud, fleet, device


def configuration(
    cloud: CloudProcess, certificate: KeyPair, files: Files
) -> dict[str, dict[str, object]]:
    """A device that plays the labelled pictures as its camera."""
    return {
        "golioth": {
            "uri": cloud.address.coap,
            "certificate": str(certificate.certificate),
            "private_key": str(certificate.key),
            "server_ca": str(cloud.address.server_ca),
            "requests_per_second": 0,
        },
        "worker": {
            "source": f"dir:{files.pictures}",
            "picture_order": "shuffled",
            "frames_per_second": FRAMES_PER_SECOND,
        },
        # All pictures once; a device's own default is 300, for scenes that change less.
        "update": {"window_frames": PICTURES},
    }


def table(lines: Lines) -> Table:
    """The measured steps; narrow enough for 80 columns."""
    shown = Table(caption="pictures: captured / classified / dropped since the worker started")
    shown.add_column("step")
    columns = ("bytes over\nthe air", "deploy to first\npicture by it", "accuracy", "pictures")
    for column in columns:
        shown.add_column(column, justify="right", no_wrap=True)
    for step, line in lines:
        shown.add_row(step.title, *_cells(line))
    return shown


def _cells(line: Measured) -> Iterator[str]:
    yield "-" if line.received_bytes is None else f"{line.received_bytes:,}"
    yield "-" if line.switch_seconds is None else f"{line.switch_seconds:.1f} s"
    yield "-" if line.accuracy is None else f"{line.accuracy:.0%}"
    yield f"{line.captured} / {line.classified} / {line.dropped}"


def _stay(cloud: CloudProcess, device: Device, console: Console) -> None:
    try:
        console.print(f"console:    {cloud.address.http}  (API key: {cloud.address.api_key})")
        console.print(f"device:     edgeferry status --config {device.config}")
        console.print("Ctrl-C ends everything")
        while cloud.process.running:
            time.sleep(1)
    except KeyboardInterrupt:
        return
