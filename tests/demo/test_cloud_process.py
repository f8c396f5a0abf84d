"""A local cloud that the demo and the system tests kill and start again."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from demo.cloud_process import lasting_port

GIVEN_AWAY = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Ports of whoever asks for any."""


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_nobody_is_given_the_port_of_a_cloud_that_is_being_restarted(
    kind: socket.SocketKind,
) -> None:
    lowest = int(GIVEN_AWAY.read_text().split()[0])
    ports = {lasting_port(kind) for _ in range(20)}
    assert len(ports) > 1
    assert max(ports) < lowest
    with socket.socket(socket.AF_INET, kind) as ours:
        ours.bind(("127.0.0.1", ports.pop()))
