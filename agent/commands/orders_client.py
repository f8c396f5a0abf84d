"""Asking the running agent: one JSON line over ``<state dir>/agent.sock``, one answered."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, ClassVar

from agent.control.errors import ControlError
from agent.control.lines import read_reply, request_line
from agent.control.listening import AGENT_SOCKET

ANSWER_SECONDS = 300.0
"""A roll back waits for an update that is just being switched, and for the worker to load."""


class AgentNotAsked(Exception):  # noqa: N818 - reads as what happened
    """The agent could not be asked, or would not; the text says why and what to do."""

    exit_status: ClassVar[int] = 1


def ask_agent(state_dir: Path, operation: str, **parameters: object) -> dict[str, Any]:
    """What the running agent answers to an operation.

    Raises:
        AgentNotAsked: it does not run, may not be asked by this user, or refuses.
    """
    path = state_dir / AGENT_SOCKET
    try:
        answer = _exchange(path, request_line(operation, parameters))
    except (FileNotFoundError, ConnectionRefusedError):
        raise AgentNotAsked(
            f"no agent runs on {state_dir}; start it with `edgeferry run` "
            "(or `systemctl start edgeferry-agent`) and ask again, or check --config"
        ) from None
    except PermissionError:
        raise AgentNotAsked(
            f"{path}: only the agent's own user may ask it; try again with sudo"
        ) from None
    except TimeoutError:
        raise AgentNotAsked(
            f"the agent did not answer {operation} within {ANSWER_SECONDS:g} s; "
            "`edgeferry status` shows what it does"
        ) from None
    except OSError as error:
        raise AgentNotAsked(f"{path}: {error}") from error
    return _result(operation, answer)


def _exchange(path: Path, question: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(path))
        connection.sendall(question)
        with connection.makefile("rb") as answers:
            return answers.readline()


def _result(operation: str, answer: bytes) -> dict[str, Any]:
    if not answer:
        raise AgentNotAsked(
            f"the agent was stopped before it answered {operation}; "
            "`edgeferry status` shows how far it came"
        )
    try:
        return read_reply(answer)
    except ControlError as refusal:
        raise AgentNotAsked(refusal.detail) from None
    except ValueError as error:
        raise AgentNotAsked(
            f"the agent's answer to {operation} can't be read; is it of another version?"
        ) from error
