"""What was sent and is not what the server takes, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse

from layerflow.server.problems import problem

_SEE = "/v1/openapi.json says what may be there"


def what_is_invalid(errors: Sequence[Mapping[str, Any]]) -> JSONResponse:
    """The answer to the first of the `errors` that pydantic found."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return problem(400, "NotJson", "the body is not JSON; send one object in it")
    return problem(422, "RequestError", _sentence(first))


def _sentence(error: Mapping[str, Any]) -> str:
    kind, where = error["type"], [str(part) for part in error["loc"][1:]]
    name = ".".join(where) or f"the {error['loc'][0]}"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind.startswith("model_"):
        return f"{name} must be an object; {_SEE}"
    if kind == "string_unicode":
        return f"{name} holds half of a surrogate pair; send whole characters"
    if kind == "missing":
        return f"{name} is missing; {_SEE}"
    if kind == "extra_forbidden":
        return f"there is no field {name[:100]!r} here; leave it out"
    said = str(error["msg"])
    return f"{name} is not right: {said[:1].lower()}{said[1:]}; {_SEE}"
