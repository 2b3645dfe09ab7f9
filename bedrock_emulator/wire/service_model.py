"""Which request is which operation: the routes of botocore's service model.

The model is the service's own description, shipped with botocore: methods, paths, members,
patterns, error codes. Nothing here repeats what it says.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import botocore.loaders
from botocore.model import OperationModel, ServiceModel

#: What the emulator answers itself. Other operations of these services get a clear refusal.
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
        "CreateInferenceProfile",
        "GetInferenceProfile",
        "ListInferenceProfiles",
        "DeleteInferenceProfile",
        "GetCustomModel",
    ),
    "bedrock-runtime": (
        "InvokeModel",
        "InvokeModelWithResponseStream",
        "Converse",
        "ConverseStream",
    ),
}


@dataclass(frozen=True)
class Route:
    """An operation and the method and path that ask for it."""

    name: str
    method: str
    path: re.Pattern[str]
    operation: OperationModel


@dataclass(frozen=True)
class Match:
    """A route and the decoded parts of the path that filled its template."""

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
    """Return the routes of every operation the emulator claims."""
    return tuple(
        _route(service_model(service).operation_model(name))
        for service, names in OPERATIONS.items()
        for name in names
    )


def _route(operation: OperationModel) -> Route:
    template: str = operation.http["requestUri"]
    # A client sends an ARN in a path as %3A and %2F, so a part never holds a raw slash.
    path = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template))
    return Route(operation.name, operation.http["method"], re.compile(path), operation)


def match(method: str, raw_path: str) -> Match | None:
    """Return the operation that `method` and the undecoded path ask for, or None."""
    for route in routes():
        if route.method == method:
            found = route.path.fullmatch(raw_path)
            if found:
                parts = {key: unquote(value) for key, value in found.groupdict().items()}
                return Match(route, parts)
    return None


@functools.cache
def error_statuses() -> dict[str, int]:
    """Return the HTTP status of every error code the two service models know."""
    statuses: dict[str, int] = {}
    for service in OPERATIONS:
        model = service_model(service)
        for shape_name in model.shape_names:
            metadata: dict[str, Any] = model.shape_for(shape_name).metadata
            if metadata.get("exception"):
                statuses[shape_name] = metadata["error"]["httpStatusCode"]
    return statuses
