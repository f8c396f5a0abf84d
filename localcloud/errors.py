"""What the management API refuses, in the words of gRPC status codes.

::

    CloudError                  everything below; becomes {"code", "message", "details"}
     ├ InvalidArgument     3 -> HTTP 400
     ├ DeadlineExceeded    4 -> HTTP 504
     ├ NotFound            5 -> HTTP 404
     ├ AlreadyExists       6 -> HTTP 409
     ├ PermissionDenied    7 -> HTTP 403
     ├ FailedPrecondition  9 -> HTTP 400
     └ Unauthenticated    16 -> HTTP 401
    DataDirectoryError          the data directory can't be used; names it and the next step

Golioth: the error body has the shape of grpc-gateway; its usual map gives the HTTP status.
"""

# ruff: noqa: N818 - these are gRPC's own names

from __future__ import annotations

from typing import ClassVar


class CloudError(Exception):
    """A request the cloud refuses; ``str()`` is the message the caller gets."""

    code: ClassVar[int] = 2
    http_status: ClassVar[int] = 500


class InvalidArgument(CloudError):
    """The request itself is wrong."""

    code, http_status = 3, 400


class DeadlineExceeded(CloudError):
    """Whoever was asked did not answer in time."""

    code, http_status = 4, 504


class NotFound(CloudError):
    """No such object in this project."""

    code, http_status = 5, 404


class AlreadyExists(CloudError):
    """The name or identity is taken."""

    code, http_status = 6, 409


class PermissionDenied(CloudError):
    """A valid key, but for something else."""

    code, http_status = 7, 403


class FailedPrecondition(CloudError):
    """The object's state does not allow it."""

    code, http_status = 9, 400


class Unauthenticated(CloudError):
    """No key, or none we know."""

    code, http_status = 16, 401


class DataDirectoryError(Exception):
    """The data directory is in use, unreadable or not ours."""
