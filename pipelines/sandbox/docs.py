"""The OpenAPI description: what FastAPI knows of its own routes, and the APIs' endpoints beside it."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI

from pipelines.sandbox.api import Api
from pipelines.sandbox.core import Sandbox
from pipelines.sandbox.web import Endpoint

_PARAMETER = re.compile(r"{(\w+)}")

_OWN_TAGS = [{"name": "Control", "description": "Steers the sandbox. No credentials; these requests are not counted."}]


def describe(app: FastAPI, sandbox: Sandbox) -> None:
    """Make the application's OpenAPI description cover the APIs too."""
    own = app.openapi

    def openapi() -> dict[str, Any]:
        schema = own()
        schema["tags"] = [{"name": api.title, "description": api.about} for api in sandbox.apis.values()] + _OWN_TAGS
        paths = {}
        for api in sandbox.apis.values():
            for endpoint in api.endpoints:
                paths.setdefault(api.prefix + endpoint.path, {})[endpoint.method.lower()] = _operation(api, endpoint)
        schema["paths"] = {**paths, **schema["paths"]}
        return schema

    app.openapi = openapi


def _operation(api: Api[Any], endpoint: Endpoint) -> dict[str, Any]:
    text = {"type": "string"}
    path = dict.fromkeys(_PARAMETER.findall(endpoint.path), "")
    parameters = [
        {"name": name, "in": place, "required": place == "path", "description": what, "schema": text}
        | ({"example": api.parameters[name]} if name in api.parameters else {})
        for place, names in (("path", path), ("query", endpoint.query))
        for name, what in names.items()
    ]
    operation: dict[str, Any] = {
        "tags": [api.title],
        "summary": endpoint.summary,
        "description": " ".join((endpoint.handle.__doc__ or "").split()),
        "parameters": parameters,
        "x-headers": dict(api.credentials),
        "responses": {str(status): {"description": what} for status, what in endpoint.answers.items()},
    }
    if endpoint.example is not None:
        operation["requestBody"] = {"content": {api.media_type: {"example": endpoint.example}}}
    return operation
