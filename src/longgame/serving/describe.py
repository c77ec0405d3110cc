"""The table of routes, and what OpenAPI says of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from longgame.serving import wire, wire_profiles
from longgame.serving.problems import MEDIA

ABOUT = "Slates, each logged with its probability before it is answered, and what came of them."


@dataclass(frozen=True)
class Route:
    """One route. ``name`` is its handler's."""

    method: str
    path: str
    name: str
    summary: str
    description: str
    reply: type[BaseModel]
    body: type[BaseModel] | None = None
    problems: tuple[int, ...] = ()


_BATCH = (
    "Each row is judged for itself: the call answers 200 if the batch could be read, with `accepted`, `duplicate` or "
    "`rejected` and a reason for every row, in order. Sending a batch again changes nothing: ids make it idempotent. "
    "Accepted rows are durable before the reply."
)

ROUTES = (
    Route(
        "POST",
        "/v1/recommend",
        "recommend",
        "A slate for a user",
        "Decides, writes the decision to the log, and only then answers. The same `id` again gives the slate that was "
        "decided first; with another user, k, context or surface it is refused with 409.",
        wire.RecommendReply,
        wire.RecommendBody,
        (400, 409, 413, 422, 503),
    ),
    Route(
        "POST",
        "/v1/events",
        "events",
        "What users did",
        f"{_BATCH} An event with `decision` must be of the decision's user and of an item that it showed.",
        wire.BatchReply,
        wire.EventsBody,
        (400, 413, 422, 503),
    ),
    Route(
        "PUT",
        "/v1/items",
        "items",
        "New or changed items",
        f"{_BATCH} `duplicate` is an item that already has these contents.",
        wire.BatchReply,
        wire.ItemsBody,
        (400, 413, 422, 503),
    ),
    Route(
        "PUT",
        "/v1/users",
        "users",
        "New or changed users",
        f"{_BATCH} `duplicate` is a user that already has these contents.",
        wire.BatchReply,
        wire.UsersBody,
        (400, 413, 422, 503),
    ),
    Route(
        "GET",
        "/v1/users/{user}/profile",
        "profile",
        "What is known of a user",
        "In words and in numbers: what was counted of their events, and what they corrected. A user nobody has heard of has "
        "an empty one.",
        wire_profiles.ProfileReply,
        problems=(503,),
    ),
    Route(
        "PUT",
        "/v1/users/{user}/profile",
        "correct_profile",
        "Correct a profile",
        "What the user says of their tags holds from now on, whatever they do later, until they say otherwise; durable before "
        "the reply, which is the profile after it.",
        wire_profiles.ProfileReply,
        wire_profiles.CorrectionBody,
        (400, 413, 422, 503),
    ),
    Route(
        "DELETE",
        "/v1/users/{user}/profile",
        "forget_profile",
        "Forget a profile",
        "The profile begins anew: what was done up to now does not count in it any more. Corrections stay, and so do the "
        "events in the log.",
        wire_profiles.ProfileReply,
        problems=(422, 503),
    ),
    Route(
        "GET",
        "/v1/policy",
        "policy",
        "What decides now",
        "Versions, exploration and the proof with which the policy went live.",
        wire.PolicyReply,
        problems=(503,),
    ),
    Route(
        "GET",
        "/health/live",
        "live",
        "Is the process alive?",
        "200 as long as it answers at all. Restart it if not.",
        wire.LiveReply,
    ),
    Route(
        "GET",
        "/health/ready",
        "ready",
        "Can it answer requests?",
        "200 once a policy is loaded and the store answers, 503 with `reasons` otherwise. `warnings` need a look.",
        wire.ReadyReply,
    ),
)

_PROBLEMS = {
    400: "The body is not JSON.",
    409: "The id belongs to another request.",
    413: "The body, or the batch, is too large.",
    422: "The body is JSON but not what the route takes; `where` names the field.",
    503: "No policy is loaded yet, or the store cannot be reached. Try again.",
}


def describe(route: Route) -> dict[str, Any]:
    """What FastAPI is told of a route."""
    problem = {"content": {MEDIA: {"schema": inlined(wire.ProblemReply)}}}
    responses: dict[int | str, Any] = {200: {"model": route.reply}}
    responses.update({status: {"description": _PROBLEMS[status], **problem} for status in route.problems})
    if route.name == "ready":
        responses[503] = {"model": route.reply, "description": "Not ready."}
    out: dict[str, Any] = {
        "summary": route.summary,
        "description": route.description,
        "operation_id": route.name,
        "responses": responses,
        "response_model": None,
    }
    if "{user}" in route.path:
        user = {"name": "user", "in": "path", "required": True, "schema": {"type": "string"}}
        out["openapi_extra"] = {"parameters": [user]}
    if route.body is not None:
        content = {"application/json": {"schema": inlined(route.body)}}
        body = {"requestBody": {"required": True, "content": content}}
        out["openapi_extra"] = {**out.get("openapi_extra", {}), **body}
    return out


def inlined(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON schema without references, so that it can stand anywhere in an OpenAPI document."""
    schema = model.model_json_schema()
    named = schema.pop("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            if "$ref" in part:
                return resolved(named[part["$ref"].rpartition("/")[2]])
            return {key: resolved(value) for key, value in part.items()}
        return [resolved(value) for value in part] if isinstance(part, list) else part

    out: dict[str, Any] = resolved(schema)
    return out
