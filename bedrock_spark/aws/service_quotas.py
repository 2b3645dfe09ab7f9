"""Ask Service Quotas what it says of batch jobs, such as how many may be active at once.

A run works without the answer: the fan-out then learns the number from refusals. If the number
cannot be read, the reason is logged once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bedrock_spark.aws.errors import AWS_FAILURES, error_code
from bedrock_spark.aws.protocols import QuotasClient

log = logging.getLogger(__name__)

# The name of such a quota, as in docs.aws.amazon.com/general/latest/gr/bedrock.html:
# "Sum of in-progress and submitted batch inference jobs using a base model for Claude 3 Haiku".
_JOBS = re.compile(
    r"in-progress and submitted batch inference jobs using a (?:base|custom) model for (.+)",
    re.IGNORECASE,
)
_LEAST = re.compile(r"Minimum number of records per batch inference job for (.+)", re.IGNORECASE)
_MOST = re.compile(r"^Records per input file per batch inference job for (.+)", re.IGNORECASE)
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
        quotas = list(quotas_of_bedrock(client))
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


def quotas_of_bedrock(client: QuotasClient) -> Iterator[tuple[str, float]]:
    """Yield names and values of the quotas of Bedrock, as the account has them."""
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="bedrock")
    for page in pages:
        for quota in page.get("Quotas", ()):
            yield quota.get("QuotaName", ""), quota.get("Value", 0.0)


def slots_among(quotas: Iterable[tuple[str, float]], model_id: str) -> int | None:
    """Return how many jobs of a model may be active, or None if no quota says so.

    quotas: names and values
    """
    return _value_for(model_id, _JOBS, quotas)


@dataclass(frozen=True)
class BatchQuotas:
    """The quotas of a model's batch jobs. None: Service Quotas does not name it."""

    min_records: int | None
    max_records: int | None
    active_jobs: int | None

    @property
    def is_empty(self) -> bool:
        """Tell whether no quota is about the model, as for one without batch inference."""
        return self == BatchQuotas(None, None, None)


def batch_quotas_among(quotas: Sequence[tuple[str, float]], model_id: str) -> BatchQuotas:
    """Return the quotas of a model's batch jobs.

    quotas: names and values
    """
    return BatchQuotas(*(_value_for(model_id, name, quotas) for name in (_LEAST, _MOST, _JOBS)))


def _value_for(
    model_id: str, pattern: re.Pattern[str], quotas: Iterable[tuple[str, float]]
) -> int | None:
    """Return the value of the quota for a model, or None if there is none of at least 1.

    A quota is for the model if the words at the end of its name are in the model id, in a row. Of
    several such quotas the longest name wins: "Claude 3.5 Sonnet v2" before "Claude 3.5 Sonnet".
    """
    id_words = f"-{_words(model_id)}-"
    best: tuple[int, float] | None = None
    for name, value in quotas:
        match = pattern.search(name)
        words = _words(match[1]) if match else ""
        if words and f"-{words}-" in id_words and (best is None or len(words) > best[0]):
            best = (len(words), value)
    return int(best[1]) if best is not None and best[1] >= 1 else None


def _words(text: str) -> str:
    """Return a name in lowercase, with `-` between its words and without dates.

    anthropic.claude-3-5-sonnet-20241022-v2:0 becomes anthropic-claude-3-5-sonnet-v2-0.
    """
    return _DATE.sub("", re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-"))
