"""HTTP for the management API: the key, retries, pages, and errors as exceptions.

Golioth: one object comes as ``{"data": ...}``, a list as ``{"list": [...], "total": n}`` with
0-based pages of at most 100, an error as ``{"code", "message", "details"}`` with a gRPC code.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import tenacity

from provisioning.errors import (
    AccessDenied,
    AlreadyExists,
    InvalidRequest,
    ManagementError,
    NotFound,
    RateLimited,
    Refused,
    ServerFailed,
    UnexpectedAnswer,
    Unreachable,
)

_log = logging.getLogger(__name__)

PAGE = 100
IDLE_SECONDS = 2.0
"""For how long an unused connection is kept: servers close theirs after five seconds and more, and
what is sent at that moment gets no answer."""
LONGEST_WAIT = 60.0  # seconds; a server that wants more is told to the operator instead
_IDEMPOTENT = frozenset({"GET", "PUT", "PATCH", "DELETE"})
# These say that the request was not worked on, so that even a POST may be sent again.
_NOT_WORKED_ON = frozenset({429, 503})
_ALREADY_EXISTS = 6  # gRPC; Golioth does not document which HTTP status goes with it
_ERRORS: dict[int, type[Refused]] = {
    400: InvalidRequest,
    401: AccessDenied,
    403: AccessDenied,
    404: NotFound,
    409: AlreadyExists,
    429: RateLimited,
}
_backoff = tenacity.wait_random_exponential(multiplier=0.5, max=10)

Document = dict[str, Any]


class ApiKey(httpx.Auth):
    """Sends the key with each request and shows it nowhere."""

    def __init__(self, key: str) -> None:
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("the API key is empty or holds blanks or line ends; copy it again")
        self._key = key

    def __repr__(self) -> str:
        return "<ApiKey>"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Golioth: an API key goes into ``x-api-key``."""
        request.headers["x-api-key"] = self._key
        yield request


class RestApi:
    """Calls below one base address, from any thread; ``sleep`` waits between tries, in seconds.

    A refusal for too many calls holds back the calls of all threads, for as long as it says.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout: float,
        attempts: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = httpx.Client(
            base_url=base_url,
            auth=ApiKey(key),
            timeout=timeout,
            limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
        )
        self._attempts = attempts
        self._sleep = sleep
        self._open_again = 0.0  # on the monotonic clock; the server asked all calls to wait

    def __repr__(self) -> str:
        return f"<RestApi {self._http.base_url}>"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, query: Document | None = None) -> Document:
        """The whole answer to a GET. Raises ManagementError, as all calls do."""
        return self._call("GET", path, query=query)

    def send(self, method: str, path: str, body: Any) -> Document:
        """The whole answer to a request with a JSON body."""
        return self._call(method, path, body=body)

    def pages(self, path: str, query: Document) -> Iterator[Document]:
        """The entries of a list, over all its pages."""
        page = entries = 0
        while True:
            answer = self.get(path, {**query, "page": page, "perPage": PAGE})
            found = entries_of(answer, f"GET {path}")
            yield from found
            page, entries = page + 1, entries + len(found)
            if not found or entries >= _total(answer, f"GET {path}"):
                return

    def _call(
        self, method: str, path: str, *, body: Any = None, query: Document | None = None
    ) -> Document:
        tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: _worth_another_try(error, method)),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=_wait,
            sleep=self._sleep,
            before_sleep=_log_first_failure,
            reraise=True,
        )
        if (closed := self._open_again - time.monotonic()) > 0:
            self._sleep(closed)
        return tries(self._once, method, path, body, query)

    def _once(self, method: str, path: str, body: Any, query: Document | None) -> Document:
        request = f"{method} {path}"
        try:
            answer = self._http.request(method, path, json=body, params=query)
        except httpx.HTTPError as error:
            raise Unreachable(
                request,
                f"no answer from {self._http.base_url} ({error or type(error).__name__}); "
                "check the address and the network",
            ) from error
        if not answer.is_success:
            raise self._heeded(_refusal(answer, request))
        return _document(answer, request)

    def _heeded(self, error: ManagementError) -> ManagementError:
        if isinstance(error, RateLimited) and (error.retry_after or 0) <= LONGEST_WAIT:
            self._open_again = time.monotonic() + (error.retry_after or 0)
        return error


def entries_of(answer: Document, request: str) -> list[Document]:
    """The ``list`` of an answer; some empty lists are left out or null."""
    found = answer.get("list") or []
    if not isinstance(found, list):
        raise UnexpectedAnswer(request, "the answer holds no list; is the address the API's?")
    return found


def _total(answer: Document, request: str) -> int:
    try:
        return int(answer.get("total") or 0)
    except (ValueError, TypeError, OverflowError) as error:
        raise UnexpectedAnswer(request, "the list's total is no number") from error


def _worth_another_try(error: BaseException, method: str) -> bool:
    if isinstance(error, Unreachable):
        return method in _IDEMPOTENT or isinstance(error.__cause__, httpx.ConnectError)
    if not isinstance(error, Refused) or (error.retry_after or 0) > LONGEST_WAIT:
        return False
    if error.http_status in _NOT_WORKED_ON:
        return True
    return method in _IDEMPOTENT and error.http_status in (502, 504)


def _wait(state: tenacity.RetryCallState) -> float:
    """What the server asked for, or a growing random time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, Refused) else None
    return asked if asked is not None else _backoff(state)


def _log_first_failure(state: tenacity.RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        _log.warning("trying again: %s", state.outcome.exception())


def _document(answer: httpx.Response, request: str) -> Document:
    document = _json_object(answer)
    if document is None:
        raise UnexpectedAnswer(request, "the answer is no JSON object; is the address the API's?")
    return document


def _json_object(answer: httpx.Response) -> Document | None:
    try:
        document = answer.json()
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _refusal(answer: httpx.Response, request: str) -> ManagementError:
    if answer.is_redirect:
        where = answer.headers.get("location", "elsewhere")
        return UnexpectedAnswer(request, f"sent on to {where}; give the API's own address")
    code, message = _said(answer)
    kind = ServerFailed if answer.status_code >= 500 else _ERRORS.get(answer.status_code, Refused)
    if code == _ALREADY_EXISTS or "already exists" in message:
        kind = AlreadyExists
    error = kind(request, answer.status_code, code, message)
    error.retry_after = _retry_after(answer)
    return error


def _said(answer: httpx.Response) -> tuple[int | None, str]:
    """Code and message of the documented error; a proxy's own page has neither."""
    document = _json_object(answer)
    if document is None:
        return None, answer.reason_phrase
    code = document.get("code")
    message = document.get("message")
    return code if isinstance(code, int) else None, message if isinstance(message, str) else ""


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds, None where nothing is said (RFC 9110, section 10.2.3: a number, or a date)."""
    said = answer.headers.get("retry-after", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return None
