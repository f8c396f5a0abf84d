"""Plays the journey on a terminal: set-up, steps with progress, and the table at the end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo.fleet import Files, Fleet
from demo.journey import PATIENCE, Journey, Measured, Step, StepFailed
from demo.journey import as_json as to_json
from demo.stage import CloudProcess, Device, StageError
from provisioning.pki import KeyPair

DATA = Path(__file__).parent
DEVICE_NAME = "demo-camera"
FRAMES_PER_SECOND = 20
# A model that no earlier step has left on the device: the bytes behind a flatbuffer are ignored.
PADDING = b"\0" * 16


def play(folder: Path | None, *, keep: bool, as_json: bool) -> bool:
    """Play all steps; True when every one held."""
    console = Console(stderr=as_json)
    with ExitStack() as stack:
        work = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeferry-")))
        console.print(f"working in {work}")
        lines = _play_all(work, console, stack, keep=keep)
    if as_json:
        print(to_json(lines))
    return all(line.held for line in lines)


def _play_all(work: Path, console: Console, stack: ExitStack, *, keep: bool) -> list[Measured]:
    files = gather(work)
    with console.status("starting the local cloud, agent and worker"):
        cloud, fleet, device = set_the_stage(work, files, stack)
    console.print(f"local cloud at {cloud.address.http}, its rate limit lifted; one camera, 20 fps")
    lines = []
    for step in Journey(fleet, device, files).steps():
        lines.append(_play_one(step, console))
        if not lines[-1].held:
            console.print(device.log_tail(), markup=False)
            break
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
            line = Measured(step.title, held=False, note=str(failure).splitlines()[0])
    mark = "[green]held[/]  " if line.held else "[red]failed[/]"
    console.print(f"{mark} {step.title}  ({time.monotonic() - started:.1f} s)")
    return line


def gather(work: Path) -> Files:
    """The demo's models and pictures, and one more model made from model 2."""
    models = DATA / "models"
    another = work / "another.tflite"
    work.mkdir(parents=True, exist_ok=True)
    another.write_bytes((models / "model-2.tflite").read_bytes() + PADDING)
    return Files(
        model_1=models / "model-1.tflite",
        model_2=models / "model-2.tflite",
        three_outputs=models / "three-outputs.tflite",
        another_model=another,
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
        "worker": {"source": f"dir:{files.pictures}", "frames_per_second": FRAMES_PER_SECOND},
        "download": {"in_flight": 16},
    }


def table(lines: list[Measured]) -> Table:
    """The measured steps."""
    shown = Table(title="what was measured")
    for column in ("step", "bytes over the air", "deploy to first picture", "accuracy"):
        shown.add_column(column)
    shown.add_column("pictures captured / classified / dropped")
    shown.add_column("note")
    for line in lines:
        shown.add_row(*_cells(line))
    return shown


def _cells(line: Measured) -> Iterator[str]:
    yield line.step
    yield "-" if line.received_bytes is None else f"{line.received_bytes:,}"
    yield "-" if line.switch_seconds is None else f"{line.switch_seconds:.1f} s"
    yield "-" if line.accuracy is None else f"{line.accuracy:.0%}"
    yield f"{line.captured:,} / {line.classified:,} / {line.dropped:,}"
    yield line.note


def _stay(cloud: CloudProcess, device: Device, console: Console) -> None:
    console.print(f"fleet page: {cloud.address.http}  (API key: {cloud.address.api_key})")
    console.print(f"device:     edgeferry status --config {device.config}")
    console.print("Ctrl-C ends everything")
    try:
        while cloud.process.running:
            time.sleep(1)
    except KeyboardInterrupt:
        return
