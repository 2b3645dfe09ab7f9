"""Ask Service Quotas how many batch jobs of a model the account may have active at once.

The answer is a convenience: who may not ask, or where nobody answers, the fan-out learns it from
refusals. Why it is not known is logged once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from bedrock_spark.aws.errors import AWS_FAILURES

log = logging.getLogger(__name__)

# "Sum of in-progress and submitted batch inference jobs using a base model for Claude 3 Haiku": how
# quotas are named in docs.aws.amazon.com/general/latest/gr/bedrock.html.
_JOBS = re.compile(
    r"in-progress and submitted batch inference jobs using a (?:base|custom) model for (.+)",
    re.IGNORECASE,
)
_DATE = re.compile(r"-\d{8}(?=-|$)")
# Codes of those who may not ask, and of what is not there to be asked.
_NOT_FOR_US = frozenset(
    {
        "AccessDeniedException",
        "UnrecognizedClientException",
        "NoSuchResourceException",
        "UnknownOperationException",
    }
)


def ask_slots(client: Any, model_id: str) -> int | None:
    """Return how many batch jobs of a model may be active, or None where that cannot be found out.

    client: of service-quotas, in the Region of the jobs
    """
    try:
        quotas = list(_quotas(client))
    except AWS_FAILURES as exc:
        code = exc.response["Error"]["Code"] if isinstance(exc, ClientError) else type(exc).__name__
        level = logging.INFO if code in _NOT_FOR_US else logging.WARNING
        log.log(level, "Service Quotas does not tell the number of batch jobs: %s", code)
        return None
    found = slots_among(quotas, model_id)
    if found is None:
        log.info("Service Quotas has no number of batch jobs of %s", model_id)
    return found


def _quotas(client: Any) -> Iterator[tuple[str, float]]:
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="bedrock")
    for page in pages:
        for quota in page.get("Quotas", ()):
            yield quota.get("QuotaName", ""), quota.get("Value", 0.0)


def slots_among(quotas: Iterable[tuple[str, float]], model_id: str) -> int | None:
    """Return the value of the quota whose name fits a model best: the longest that is in its id."""
    wanted = f"-{_words(model_id)}-"
    best: tuple[int, float] | None = None
    for name, value in quotas:
        match = _JOBS.search(name)
        words = _words(match[1]) if match else ""
        if words and f"-{words}-" in wanted and (best is None or len(words) > best[0]):
            best = (len(words), value)
    return int(best[1]) if best is not None and best[1] >= 1 else None


def _words(text: str) -> str:
    """Return a name with `-` between its words, without dates: claude-3-5-sonnet-v2-0."""
    return _DATE.sub("", re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-"))
