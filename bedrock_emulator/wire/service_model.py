"""Finds the operation of a request by the routes of botocore's service model.

The model is the service's own description, shipped with botocore: methods, paths, members,
patterns, error codes. This module repeats nothing of it.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import botocore.loaders
from botocore.model import OperationModel, ServiceModel

#: The operations the emulator serves, by service. It refuses the others by name, with status 501.
OPERATIONS: dict[str, tuple[str, ...]] = {
    "bedrock": (
        "CreateModelInvocationJob",
        "GetModelInvocationJob",
        "ListModelInvocationJobs",
        "StopModelInvocationJob",
        "CreateProvisionedModelThroughput",
        "GetProvisionedModelThroughput",
        "ListProvisionedModelThroughputs",
        "UpdateProvisionedModelThroughput",
        "DeleteProvisionedModelThroughput",
        "TagResource",
        "UntagResource",
        "ListTagsForResource",
        "ListFoundationModels",
        "GetFoundationModel",
        "GetFoundationModelAvailability",
        "CreateInferenceProfile",
        "GetInferenceProfile",
        "ListInferenceProfiles",
        "DeleteInferenceProfile",
        "GetCustomModel",
        "ListCustomModels",
    ),
    "bedrock-runtime": (
        "ApplyGuardrail",
        "CountTokens",
        "InvokeModel",
        "InvokeModelWithResponseStream",
        "Converse",
        "ConverseStream",
    ),
}


@dataclass(frozen=True)
class Route:
    """An operation, its HTTP method and the pattern of its path.

    is_served: whether the emulator has the operation; of the others it knows the name only
    """

    name: str
    method: str
    path: re.Pattern[str]
    operation: OperationModel
    is_served: bool


@dataclass(frozen=True)
class Match:
    """A route, and the decoded values of the parameters in its path."""

    route: Route
    uri_params: dict[str, str]


@functools.cache
def service_model(service: str) -> ServiceModel:
    """Return botocore's model of `bedrock` or `bedrock-runtime`."""
    loader = botocore.loaders.Loader()
    loader.search_paths.append(loader.BUILTIN_DATA_PATH)
    return ServiceModel(loader.load_service_model(service, "service-2"), service)


@functools.cache
def routes() -> tuple[Route, ...]:
    """Return the routes of all operations: first those that are served."""
    found = [
        _route(service_model(service).operation_model(name), is_served=name in served)
        for service, served in OPERATIONS.items()
        for name in service_model(service).operation_names
    ]
    return tuple(sorted(found, key=lambda route: not route.is_served))


def _route(operation: OperationModel, *, is_served: bool) -> Route:
    template: str = operation.http["requestUri"].split("?", 1)[0]
    # Clients encode an ARN in a path (%3A, %2F), so a parameter never contains a raw slash.
    path = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template))
    method = operation.http["method"]
    return Route(operation.name, method, re.compile(path), operation, is_served)


def match(method: str, raw_path: str) -> Match | None:
    """Return the route of a request and its path parameters, None if no operation has that path.

    `raw_path` is not decoded.
    """
    for route in routes():
        if route.method == method:
            path_match = route.path.fullmatch(raw_path)
            if path_match:
                values = path_match.groupdict()
                return Match(route, {name: unquote(value) for name, value in values.items()})
    return None


@functools.cache
def error_statuses() -> dict[str, int]:
    """Return the HTTP status of every error code in the two service models."""
    statuses: dict[str, int] = {}
    for service in OPERATIONS:
        model = service_model(service)
        for shape_name in model.shape_names:
            metadata: dict[str, Any] = model.shape_for(shape_name).metadata
            if metadata.get("exception"):
                statuses[shape_name] = metadata["error"]["httpStatusCode"]
    return statuses
