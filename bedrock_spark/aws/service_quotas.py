"""Ask Service Quotas how many batch jobs of a model the account may have active at once.

A run works without the answer: the fan-out then learns the number from refusals. If the number
cannot be read, the reason is logged once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator

from bedrock_spark.aws.errors import AWS_FAILURES, error_code
from bedrock_spark.aws.protocols import QuotasClient

log = logging.getLogger(__name__)

# The name of such a quota, as in docs.aws.amazon.com/general/latest/gr/bedrock.html:
# "Sum of in-progress and submitted batch inference jobs using a base model for Claude 3 Haiku".
_JOBS = re.compile(
    r"in-progress and submitted batch inference jobs using a (?:base|custom) model for (.+)",
    re.IGNORECASE,
)
# The date in a model id, such as -20240307, which no quota's name has.
_DATE = re.compile(r"-\d{8}(?=-|$)")
# The caller has no permission, or the service or quota does not exist here: nothing unusual.
_EXPECTED_CODES = frozenset(
    {
        "AccessDeniedException",
        "UnrecognizedClientException",
        "NoSuchResourceException",
        "UnknownOperationException",
    }
)


def read_job_quota(client: QuotasClient, model_id: str) -> int | None:
    """Return how many batch jobs of a model may be active at once, or None if that is unknown.

    client: the client for the Region of the jobs
    """
    try:
        quotas = list(_quotas(client))
    except AWS_FAILURES as exc:
        code = error_code(exc)
        level = logging.INFO if code in _EXPECTED_CODES else logging.WARNING
        log.log(
            level,
            "Service Quotas did not answer (error %s): the number of batch jobs that may be active "
            "is learnt from refusals",
            code,
        )
        return None
    slots = slots_among(quotas, model_id)
    if slots is None:
        log.info("Service Quotas has no number of batch jobs of %s", model_id)
    return slots


def _quotas(client: QuotasClient) -> Iterator[tuple[str, float]]:
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="bedrock")
    for page in pages:
        for quota in page.get("Quotas", ()):
            yield quota.get("QuotaName", ""), quota.get("Value", 0.0)


def slots_among(quotas: Iterable[tuple[str, float]], model_id: str) -> int | None:
    """Return the value of the quota for a model, or None if there is none of at least 1.

    A quota is for the model if the words at the end of its name are in the model id, in a row. Of
    several such quotas the longest name wins: "Claude 3.5 Sonnet v2" before "Claude 3.5 Sonnet".

    quotas: names and values
    """
    id_words = f"-{_words(model_id)}-"
    best: tuple[int, float] | None = None
    for name, value in quotas:
        match = _JOBS.search(name)
        words = _words(match[1]) if match else ""
        if words and f"-{words}-" in id_words and (best is None or len(words) > best[0]):
            best = (len(words), value)
    return int(best[1]) if best is not None and best[1] >= 1 else None


def _words(text: str) -> str:
    """Return a name in lowercase, with `-` between its words and without dates.

    anthropic.claude-3-5-sonnet-20241022-v2:0 becomes anthropic-claude-3-5-sonnet-v2-0.
    """
    return _DATE.sub("", re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-"))
