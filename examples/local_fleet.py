"""A cloud and cameras on this machine, to try the examples with; until Ctrl-C.

    python examples/local_fleet.py retrain --folder /tmp/fleet
    python examples/local_fleet.py per-site --folder /tmp/fleet

Every device is a real agent and worker whose camera plays labelled pictures in a lamp's light. They
begin with the demo's model 2 as version 1, which knows daylight alone.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from site_pictures import camera_scenes, held_out_scenes, write_lit

from demo.cloud_process import CloudProcess
from demo.fleet import Enrolled, Fleet
from demo.stage import Device, Document, StageError, serves

MODELS = Path(__file__).parents[1] / "demo" / "models"
FIRST_VERSION = "1"
PATIENCE = 240.0
LOOK_SECONDS = 0.5
SCENES = 36
# Slow enough that most pictures are sent before they are seen again.
_FRAMES_PER_SECOND = 5
# Nearly as many pictures as there are scenes, and half as many again.
_ENOUGH_SAMPLE_BYTES = 1_000_000
_SAMPLE_BYTES_PER_DAY = 1_800_000


@dataclass(frozen=True)
class Site:
    """A cohort of one camera, its lamp, and the name of the folder its pipeline works in.

    A camera that sees the held-out pictures sends no samples: nothing is to be trained on those.
    """

    cohort: str
    light: str
    run: str
    held_out: bool = False


EXAMPLES = {
    "retrain": (
        Site("canary", "fluorescent", "run"),
        Site("production", "fluorescent", "run", held_out=True),
    ),
    "per-site": (Site("north", "fluorescent", "north"), Site("south", "sodium", "south")),
}


class LocalFleet:
    """Processes on ``folder``: a cloud, and one camera for each site."""

    def __init__(self, folder: Path, sites: tuple[Site, ...]) -> None:
        self._folder = folder
        self._sites = sites
        self._cloud = CloudProcess(folder / "cloud", rate_limit=0)
        self.devices = {site.cohort: Device(folder / "devices" / site.cohort) for site in sites}
        self._started = ExitStack()

    @property
    def environment(self) -> dict[str, str]:
        """What tells the operator's commands where this cloud is."""
        address = self._cloud.address
        return {"EDGEFERRY_OPERATOR": str(address.operator_file)}

    def start(self) -> None:
        """Start everything; version 1 serves on every device once this returns.

        Raises StageError.
        """
        self._cloud.start()
        self._started.callback(self._cloud.process.stop)
        self._write_pictures()
        for site in self._sites:
            self._start_device(site)
        for site in self._sites:
            self.await_served(site.cohort, FIRST_VERSION)

    def stop(self) -> None:
        """Stop every process that was started."""
        self._started.close()

    def await_served(self, cohort: str, version: str) -> Document:
        """Wait until the cohort's device serves that version and is sure of it."""
        return self._await(cohort, f"{cohort} serves {version}", serves(version))

    def await_samples(self, cohort: str) -> None:
        """Wait until the cohort's device has sent nearly as many samples as there are scenes."""

        def sent(status: Document) -> bool:
            return bool(status["samples_upload"]["bytes_today"] >= _ENOUGH_SAMPLE_BYTES)

        self._await(cohort, f"{cohort} sends samples", sent)

    def _await(self, cohort: str, what: str, holds: Callable[[Document], bool]) -> Document:
        return self.devices[cohort].await_status(what, holds, PATIENCE, LOOK_SECONDS)

    def _write_pictures(self) -> None:
        seen, held_out = camera_scenes(SCENES), held_out_scenes()
        for site in self._sites:
            write_lit(held_out if site.held_out else seen, site.light, self._camera(site))
            run = self._folder / site.run
            write_lit(held_out, site.light, run / "held-out")
            first = run / "releases" / FIRST_VERSION
            first.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(MODELS / "model-2.tflite", first / "model.tflite")
            shutil.copyfile(MODELS / "labels.txt", first / "labels.txt")

    def _camera(self, site: Site) -> Path:
        return self._folder / "cameras" / site.cohort

    def _start_device(self, site: Site) -> None:
        with closing(Fleet(self._cloud.address, site.cohort)) as fleet:
            enrolled = fleet.enroll(f"{site.cohort}-camera")
            labels = MODELS / "labels.txt"
            fleet.deploy("first", fleet.upload(FIRST_VERSION, MODELS / "model-2.tflite", labels))
        device = self.devices[site.cohort]
        device.configure(self._configuration(site, enrolled))
        self._started.callback(device.stop)
        device.start("worker")
        device.start("run")

    def _configuration(self, site: Site, enrolled: Enrolled) -> dict[str, dict[str, object]]:
        sends = not site.held_out
        return {
            "golioth": {
                "uri": self._cloud.address.coap,
                "psk_id": enrolled.identity,
                "psk": enrolled.key,
                "requests_per_second": 0,
            },
            "worker": {
                "source": f"dir:{self._camera(site)}",
                "frames_per_second": _FRAMES_PER_SECOND,
                "picture_order": "shuffled",
            },
            "update": {"window_frames": 30},
            "telemetry": {"metrics_seconds": 2},
            # Every picture, sure of it or not: a folder has only so many.
            "samples": {
                "on": sends,
                "upload": sends,
                "below": 1.0,
                "audit_share": 1.0,
                "cooldown_seconds": 0,
                "upload_bytes_per_day": _SAMPLE_BYTES_PER_DAY,
            },
        }


def main() -> None:
    """Run until Ctrl-C, and say what the operator needs to know."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("example", choices=EXAMPLES)
    parser.add_argument("--folder", type=Path, required=True, help="a new folder to work in")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        parser.error(f"--folder {folder}: {error.strerror}; name another")
    if used:
        parser.error(f"--folder {folder}: something is there already; name a new folder")
    # As Ctrl-C does it: nothing that was started may stay behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    fleet = LocalFleet(folder, EXAMPLES[arguments.example])
    try:
        fleet.start()
        print("Version 1 serves. In another terminal:")
        for name, value in fleet.environment.items():
            print(f"  export {name}={value}")
        print("Ctrl-C ends it.", flush=True)
        signal.pause()
    except StageError as error:
        sys.exit(f"local_fleet: {error}")
    except KeyboardInterrupt:
        print()
    finally:
        fleet.stop()


if __name__ == "__main__":
    main()
