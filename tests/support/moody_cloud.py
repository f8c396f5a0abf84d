"""A local cloud that answers one request in eight late, wrongly or never.

``python -m tests.support.moody_cloud cloud …`` takes the options of ``edgeferry cloud``. Wrong are
only answers that a device can tell from right ones: an untrue success would be believed.
"""

from __future__ import annotations

import asyncio
import random
from unittest.mock import patch

from aiocoap import Code, Message
from aiocoap.pipe import Pipe

from commands.main import main
from localcloud.gateway.answers import Refusal
from localcloud.gateway.site import Gateway
from protocol.block_codec import BlockRequest
from protocol.blocks import Block
from protocol.server import DtlsRemote

LATE_SECONDS = (0.5, 6.0)
NEVER_SECONDS = 300.0
"""Longer than anybody waits for an answer."""
ERRORS = (
    Code.INTERNAL_SERVER_ERROR,
    Code.BAD_GATEWAY,
    Code.SERVICE_UNAVAILABLE,
    Code.GATEWAY_TIMEOUT,
    Code.TOO_MANY_REQUESTS,
)
MOODS = ("late", "never", "error", "nonsense")
SHARE = 1 / 8


class MoodyGateway(Gateway):
    """Everything goes through its moods; what they leave is answered as always."""

    _chance = random.Random(0)

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer one request, or do something else."""
        mood = self._chance.choice(MOODS) if self._chance.random() < SHARE else ""
        match mood:
            case "late":
                await asyncio.sleep(self._chance.uniform(*LATE_SECONDS))
                await super().render_to_pipe(pipe)
            case "never":
                await asyncio.sleep(NEVER_SECONDS)
            case "error":
                refusal = Refusal(self._chance.choice(ERRORS), "not in the mood")
                pipe.add_response(refusal.message(), is_last=True)
            case "nonsense" if pipe.request.code == Code.GET:
                pipe.add_response(self._nonsense(), is_last=True)
            case _:
                await super().render_to_pipe(pipe)

    def block(self, _remote: DtlsRemote, _request: BlockRequest) -> Block | None:
        """None at once: blocks go the way of all requests, so that as many meet a mood."""
        return None

    def _nonsense(self) -> Message:
        """A success that is none: no block of the size that was asked for."""
        answer = Message(
            code=Code.CONTENT, payload=self._chance.randbytes(self._chance.randrange(1, 15))
        )
        if self._chance.random() < 0.5:
            answer.opt.block2 = (self._chance.randrange(1 << 12), True, 6)
        return answer


if __name__ == "__main__":
    with patch("localcloud.cloud.Gateway", MoodyGateway):
        main()
