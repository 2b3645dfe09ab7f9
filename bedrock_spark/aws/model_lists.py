"""The models of a Region, as the service lists them: one list for each of its four listings.

ListFoundationModels has no pages; the other three have. A listing that is refused is an error of
its own: the other lists are still of use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bedrock_spark.aws.errors import (
    AWS_FAILURES,
    NO_CREDENTIALS,
    error_code,
    error_message,
    is_access_refused,
)
from bedrock_spark.aws.protocols import BedrockClient

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Listing:
    """The members of one listing, or why there are none.

    action: what IAM calls the operation; fault: None if the listing was read
    """

    action: str
    items: tuple[Summary, ...] = ()
    fault: str | None = None


@dataclass(frozen=True)
class ModelLists:
    """What the four listings of a Region have."""

    foundation: Listing
    profiles: Listing
    custom: Listing
    provisioned: Listing

    @property
    def faults(self) -> list[str]:
        """Return why lists are missing, each fault once: all may fail for the same reason."""
        lists = (self.provisioned, self.profiles, self.foundation, self.custom)
        return list(dict.fromkeys(each.fault for each in lists if each.fault is not None))


def list_models(client: BedrockClient) -> ModelLists:
    """Read the four listings at the same time."""
    reads = {
        "ListFoundationModels": lambda: tuple(client.list_foundation_models()["modelSummaries"]),
        "ListInferenceProfiles": _pages(
            client, "list_inference_profiles", "inferenceProfileSummaries"
        ),
        "ListCustomModels": _pages(client, "list_custom_models", "modelSummaries"),
        "ListProvisionedModelThroughputs": _pages(
            client, "list_provisioned_model_throughputs", "provisionedModelSummaries"
        ),
    }
    with ThreadPoolExecutor(len(reads), thread_name_prefix="models") as pool:
        return ModelLists(*pool.map(_listed, reads.keys(), reads.values()))


def _pages(client: BedrockClient, operation: str, member: str) -> Callable[[], tuple[Summary, ...]]:
    def read() -> tuple[Summary, ...]:
        pages = client.get_paginator(operation).paginate()
        return tuple(item for page in pages for item in page.get(member, ()))

    return read


def _listed(action: str, read: Callable[[], tuple[Summary, ...]]) -> Listing:
    try:
        return Listing(action, read())
    except AWS_FAILURES as exc:
        return Listing(action, fault=_fault(action, exc))


def _fault(action: str, exc: Exception) -> str:
    if isinstance(exc, NO_CREDENTIALS):
        return "no credentials of AWS were found, so no model can be listed"
    if is_access_refused(exc):
        return f"{action} was refused ({error_code(exc)}): allow bedrock:{action} to list these"
    return f"{action} failed: {error_code(exc)}: {error_message(exc)[:200]}"
