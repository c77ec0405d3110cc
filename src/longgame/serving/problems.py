"""Errors as callers see them: ``application/problem+json`` (RFC 9457) with what, where and how to mend it.

Never a stack trace: what nobody foresaw is logged under a reference, and the caller gets the reference.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from longgame.errors import LonggameError, RecordError, StoreError
from longgame.serving.service import NotReady, RequestConflict

MEDIA = "application/problem+json"
log = logging.getLogger("longgame.serving")


class Problem(Exception):
    """A reply that is not 2xx."""

    def __init__(self, status: int, kind: str, what: str, where: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.status, self.kind, self.what, self.where, self.mend = status, kind, what, where, mend

    def response(self) -> Response:
        """As HTTP."""
        body: dict[str, Any] = {
            "type": f"urn:longgame:{self.kind}",
            "title": self.kind.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.what,
        }
        body.update({name: value for name, value in (("where", self.where), ("mend", self.mend)) if value})
        headers = {"Retry-After": "1"} if self.status == 503 else None
        return Response(orjson.dumps(body), self.status, headers, MEDIA)


def invalid(where: str, what: str, mend: str = "") -> Problem:
    """422: the body is JSON, but not what the route takes."""
    return Problem(422, "invalid-request", what, where, mend)


def problem_of(error: Exception) -> Problem:
    """The reply that an error deserves."""
    match error:
        case Problem():
            return error
        case RequestConflict():
            return Problem(409, "id-conflict", str(error), "id", "give every request an id of its own")
        case RecordError():
            where, _, what = str(error).rpartition(": ") if str(error).count(": ") == 1 else ("", "", str(error))
            return invalid(where, what)
        case NotReady():
            return Problem(503, "not-ready", str(error), mend="try again when GET /health/ready answers 200")
        case StoreError():
            log.error("store unavailable: %s", error)
            return Problem(503, "store-unavailable", "the log cannot be reached; nothing was written", mend="try again")
        case HTTPException():
            return _http(error)
        case LonggameError():
            return Problem(500, "failed", str(error))
        case _:
            reference = uuid.uuid4().hex[:12]
            log.error("unexpected error, reference %s", reference, exc_info=error)
            return Problem(500, "unexpected", f"an error nobody foresaw; the server's log has it under {reference}")


def _http(error: HTTPException) -> Problem:
    known: Mapping[int, tuple[str, str]] = {
        404: ("no-such-route", "GET /openapi.json lists the routes"),
        405: ("wrong-method", "GET /openapi.json lists the routes and their methods"),
    }
    kind, mend = known.get(error.status_code, ("refused", ""))
    return Problem(error.status_code, kind, str(error.detail), mend=mend)
