"""The forms of answers: one object, a list, an error."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from localcloud.errors import CloudError, InvalidArgument
from localcloud.model import Record
from localcloud.storage.database import Paging
from protocol.errors import CodecError

_log = logging.getLogger(__name__)

Answer = dict[str, Any]

DELETED: Answer = {}

# What grpc-gateway makes of requests that reach no method: gRPC code and HTTP status.
_ROUTING = {400: (3, 400), 404: (5, 404), 405: (12, 501), 413: (8, 413)}


def one(record: Record) -> Answer:
    """Golioth: one object is wrapped in ``data``."""
    return {"data": record.shape()}


def many(records: Sequence[Record], total: int, paging: Paging) -> Answer:
    """Golioth: a list with its paging."""
    return {
        "list": [record.shape() for record in records],
        "page": paging.page,
        "perPage": paging.per_page,
        "total": total,
    }


def error_response(status: int, code: int, message: str) -> JSONResponse:
    """Golioth: errors have grpc-gateway's shape."""
    return JSONResponse({"code": code, "message": message, "details": []}, status_code=status)


def install_error_answers(app: FastAPI) -> None:
    """Give every error the documented shape."""
    app.add_exception_handler(CloudError, _refused)
    app.add_exception_handler(CodecError, _bad_body)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(Exception, _failed)


def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CloudError)
    return error_response(error.http_status, error.code, str(error))


def _bad_body(_request: Request, error: Exception) -> JSONResponse:
    return error_response(InvalidArgument.http_status, InvalidArgument.code, str(error))


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    return error_response(400, InvalidArgument.code, f"{place}: {first['msg']}")


def _not_routed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code, status = _ROUTING.get(error.status_code, (2, error.status_code))
    return error_response(status, code, f"{error.detail}: {request.method} {request.url.path}")


def _failed(request: Request, error: Exception) -> JSONResponse:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(500, 13, "internal error; the cloud's log has the details")
