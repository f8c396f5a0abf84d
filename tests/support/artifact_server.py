"""Artifacts on real DTLS, from a server that misbehaves now and then as real ones were seen to."""

from __future__ import annotations

import random
from collections.abc import Callable

from aiocoap import CONTENT, NOT_FOUND, Code, Message, resource
from aiocoap.optiontypes import BlockOption

from agent.download.checkpoint import CheckpointPace
from agent.download.downloader import Downloader, DownloadSettings
from agent.download.silence import Patience
from agent.store.release_store import ReleaseStore
from protocol.credentials import PskCredential, ServerCredentials
from protocol.manifest import Manifest
from protocol.server import Server, serve
from protocol.session import DeviceSession, SessionSettings
from tests.support.downloading import MemoryCheckpoints

CREDENTIAL = PskCredential("device@project", b"secret")

Mischief = Callable[["Artifacts", int, Message], Message]


class Artifacts(resource.Resource):  # type: ignore[misc]
    """Serves ``content`` by path; ``mischief`` may spoil the n-th answer with a block."""

    def __init__(self) -> None:
        super().__init__()
        self.content: dict[str, bytes] = {}
        self.etags: dict[str, bytes] = {}
        self.mischief: Mischief = lambda _artifacts, _count, answer: answer
        self.asked: list[int] = []

    async def needs_blockwise_assembly(self, request: Message) -> bool:
        return False

    async def render(self, request: Message) -> Message:
        path = "/" + "/".join(request.opt.uri_path)
        if path not in self.content:
            return Message(code=NOT_FOUND)
        number, _, exponent = request.opt.block2
        self.asked.append(number)
        return self.mischief(self, len(self.asked), self.block(path, number, exponent))

    def block(self, path: str, number: int, exponent: int = 6) -> Message:
        content, size = self.content[path], 16 << exponent
        answer = Message(code=CONTENT, payload=content[number * size : (number + 1) * size])
        more = (number + 1) * size < len(content)
        answer.opt.block2 = BlockOption.BlockwiseTuple(number, more, exponent)
        answer.opt.size2 = len(content)
        if path in self.etags:
            answer.opt.etag = self.etags[path]
        return answer


def seeded_mischief(seed: int, share: float, path: str) -> Mischief:
    """Spoils a share of the answers, each in one of the known ways."""
    chance = random.Random(seed)

    def another_block(artifacts: Artifacts, answer: Message) -> Message:
        return artifacts.block(path, 0)

    def short(_artifacts: Artifacts, answer: Message) -> Message:
        answer.payload = answer.payload[: len(answer.payload) // 3]
        return answer

    def long(_artifacts: Artifacts, answer: Message) -> Message:
        answer.payload += b"x" * 40
        return answer

    def unavailable(_artifacts: Artifacts, answer: Message) -> Message:
        return Message(code=Code.SERVICE_UNAVAILABLE)

    ways = [another_block, short, long, unavailable]

    def mischief(artifacts: Artifacts, _count: int, answer: Message) -> Message:
        if chance.random() >= share:
            return answer
        return chance.choice(ways)(artifacts, answer)

    return mischief


async def serve_artifacts(artifacts: Artifacts, port: int = 0) -> Server:
    credentials = ServerCredentials(psk_lookup={CREDENTIAL.identity: CREDENTIAL.key}.get)
    return await serve(artifacts, host="127.0.0.1", port=port, credentials=credentials)


def open_session(address: tuple[str, int], **changes: object) -> DeviceSession:
    settings = {"requests_per_second": None, "backoff_initial": 0.02, "backoff_maximum": 0.2}

    def ignore(_manifest: Manifest) -> None: ...

    return DeviceSession(
        *address,
        lambda: CREDENTIAL,
        settings=SessionSettings(**(settings | changes)),  # type: ignore[arg-type]
        on_manifest=ignore,
        on_connection=lambda _up, _error: None,
    )


def new_downloader(
    store: ReleaseStore, session: DeviceSession, patience: Patience | None = None
) -> Downloader:
    settings = DownloadSettings(
        pace=CheckpointPace(blocks=16), patience=patience or Patience(link=0.6, download=60.0)
    )
    return Downloader(store, MemoryCheckpoints(), session, settings)
