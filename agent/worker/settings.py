"""The ``[worker]`` section of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agent.worker.camera.source_address import SourceAddress
from agent.worker.choices import (
    ColourOrder,
    PictureOrder,
    PixelRange,
    Preprocessing,
    ResizeMode,
    RuntimeName,
)
from agent.worker.errors import SourceError
from agent.worker.preview.settings import PreviewSettings

DEFAULT_STATE_DIR = Path("/var/lib/edgeferry")
SYSTEM_SOCKET = Path("/run/edgeferry/worker.sock")
"""With the default state folder: the worker may write here, and the agent may connect."""


class WorkerSettings(BaseModel):
    """How pictures are taken and classified."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["process", "signal"] = Field(
        "process",
        description="'process': Edgeferry's own worker. 'signal': any inference script that opens "
        "the files in <state dir>/models and reloads on SIGUSR1.",
    )
    source: str = Field(
        "camera:0",
        repr=False,  # a stream's URL may hold a password
        description="Where pictures come from: camera:N, rtsp://… or http(s)://… (a stream), "
        "video:PATH, dir:PATH (sub-folder = label) or synthetic: (drawn frame numbers).",
    )
    frames_per_second: float = Field(
        30.0,
        gt=0,
        le=1000,
        description="Rate at which dir:, video: and synthetic: play; a camera is asked for it.",
    )
    stall_seconds: float = Field(
        5.0,
        ge=0.5,
        description="Time without a picture after which a source counts as stalled and is opened "
        "again.",
    )
    picture_order: PictureOrder = Field(
        "sorted", description="Order in which dir: plays its pictures, over and over."
    )
    seed: int = Field(1, description="Seed of the shuffled order.")
    socket: Path | None = Field(
        None,
        description="Control socket of the worker; when not set, /run/edgeferry/worker.sock with "
        "the default state folder and <state dir>/worker.sock with any other.",
    )
    group_may_control: bool = Field(
        False,
        description="Whether the group of the control socket may use it too (0660, not 0600), and "
        "read and delete samples.",
    )
    pid_file: Path | None = Field(
        None,
        description="kind = 'signal': file holding the process id of the inference script; "
        "<state dir>/worker.pid when not set.",
    )
    runtime: RuntimeName = Field(
        "auto",
        description="TFLite runtime; auto is the first that works: ai-edge-litert, tflite-runtime.",
    )
    num_threads: int = Field(1, ge=1, le=64, description="Threads of one interpreter.")
    top_k: int = Field(3, ge=1, le=100, description="Scores kept of each classified frame.")
    resize: ResizeMode = Field(
        "squash",
        description="How a frame becomes the model's size, as the model was trained: squash "
        "(aspect ratio given up), fit-shortest (centre cut out), fit-longest (black bars).",
    )
    colour_order: ColourOrder = Field(
        "rgb", description="Order of the model's three colour channels."
    )
    pixel_range: PixelRange = Field(
        "0..1",
        description="What black and white were in training: 0..1 (Edge Impulse), -1..1 or 0..255.",
    )
    load_seconds: float = Field(
        60.0,
        gt=0,
        description="Time a model may take to load and warm up before it counts as hung; this and "
        "the next two are ten times as long while the machine is too busy to let the model run.",
    )
    frame_seconds: float = Field(
        5.0, gt=0, description="Time a frame may take to classify before the engine counts as hung."
    )
    watched_frame_seconds: float = Field(
        0.8,
        gt=0,
        description="Time after which, within the commit window, the release before takes over, "
        "which is still warm; a model that usually takes longer gets five times that. If the "
        "engine answers after all, within `frame_seconds`, the update is tried again later.",
    )
    memory_bytes: int = Field(
        0,
        ge=0,
        description="Memory the worker and its engines may take together. 0: what the cgroup "
        "allows, and what the machine has available, less 32 MiB. When two engines do not fit, a "
        "swap lets go of the old one first, and frames are dropped meanwhile.",
    )
    engine_memory_bytes: int = Field(
        0,
        ge=0,
        description="Size at which an engine counts as leaking and is replaced. 0: twice what it "
        "took when it was loaded, and 64 MiB.",
    )
    statistics_seconds: float = Field(
        10.0, gt=0, description="How often subscribers of the control socket get the statistics."
    )

    preview: PreviewSettings = Field(
        PreviewSettings(), description="The live picture and figures in a browser; off by default."
    )

    @field_validator("source")
    @classmethod
    def _known_source(cls, source: str) -> str:
        try:
            SourceAddress.parse(source)
        except SourceError as error:
            raise ValueError(str(error)) from error
        return source

    @property
    def preprocessing(self) -> Preprocessing:
        """How pictures are prepared for the model."""
        return Preprocessing(self.resize, self.colour_order, self.pixel_range)

    def socket_path(self, state_dir: Path) -> Path:
        """Where the control socket is."""
        usual = SYSTEM_SOCKET if state_dir == DEFAULT_STATE_DIR else state_dir / "worker.sock"
        return self.socket or usual

    def pid_path(self, state_dir: Path) -> Path:
        """Where an inference script of kind ``signal`` leaves its process id."""
        return self.pid_file or state_dir / "worker.pid"
