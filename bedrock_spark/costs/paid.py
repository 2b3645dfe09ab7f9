"""What batch jobs and the canary have cost: each by the model, and the Region, that it ran in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from operator import add, attrgetter, sub

from bedrock_spark.costs.fallback_paid import cost_of
from bedrock_spark.costs.tokens import Expected, Tokens, by_field, total
from bedrock_spark.costs.used import Estimate, job_used, try_used
from bedrock_spark.errors import ConfigError
from bedrock_spark.prices import CallPrices, RunPrices
from bedrock_spark.prices.place_prices import PlaceKey
from bedrock_spark.prices.run_prices import PER_TOKENS
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.run_folder.job_plan import JobPlan, Place
from bedrock_spark.run_folder.ledger import Job


@dataclass(frozen=True)
class Paid:
    """What was used, and what it cost.

    dollars: of what has a price; unpriced: how many jobs or tries used something without a price
    """

    tokens: Tokens = field(default_factory=Tokens)
    dollars: Decimal = Decimal()
    unpriced: int = 0

    def __add__(self, other: Paid) -> Paid:
        """Return the sum of each number."""
        return by_field(add, self, other)

    def __sub__(self, other: Paid) -> Paid:
        """Return the difference of each number."""
        return by_field(sub, self, other)


def place_of(job: Job | JobPlan) -> PlaceKey | None:
    """Return the model and the Region in which a job runs; None if that is not known."""
    return _key_of(job.place)


def _key_of(place: Place | None) -> PlaceKey | None:
    return None if place is None else (place.model_id, place.region or None)


def job_paid(job: Job, estimate: Estimate, prices: RunPrices) -> Paid:
    """Return what one job used and cost: counted, or estimated for the records it processed."""
    return paid_for(job_used(job, estimate), prices.of_batch(place_of(job)))


def batch_paid(jobs: Iterable[Job], estimate: Estimate, prices: RunPrices) -> Paid:
    """Return what settled jobs used and cost, and other jobs as far as it was counted."""
    return paid_at(use_by_place(jobs, estimate), prices)


def use_by_place(jobs: Iterable[Job], estimate: Estimate) -> dict[PlaceKey | None, Tokens]:
    """Return the tokens that jobs used, by the model and the Region in which they ran."""
    found: dict[PlaceKey | None, Tokens] = {}
    # As a rule, the jobs of one place follow each other.
    for place, same in groupby(jobs, key=attrgetter("place")):
        key = _key_of(place)
        found[key] = total((job_used(job, estimate) for job in same), found.get(key, Tokens()))
    return found


def paid_at(used: Mapping[PlaceKey | None, Tokens], prices: RunPrices) -> Paid:
    """Return what batch jobs cost. used: by the model and the Region in which they ran"""
    each = (paid_for(tokens, prices.of_batch(place)) for place, tokens in used.items())
    return sum(each, Paid())


def unpriced_places(
    used: Mapping[PlaceKey | None, Tokens], prices: RunPrices
) -> Iterator[PlaceKey | None]:
    """Yield the places whose jobs used something, and have no price."""
    for place, tokens in used.items():
        if paid_for(tokens, prices.of_batch(place)).unpriced:
            yield place


def canary_paid(tries: Iterable[Canary], expected: Expected, prices: RunPrices) -> Paid:
    """Return what all tries of the canary used and cost, each by the model that it asked."""
    each = (paid_for(try_used(one, expected), prices.of_try(one.model_id)) for one in tries)
    return sum(each, Paid())


def paid_for(tokens: Tokens, prices: CallPrices) -> Paid:
    """Return what some tokens cost at these prices."""
    cost = cost_of(tokens, prices)
    if cost is not None:
        return Paid(tokens, cost)
    return Paid(tokens, unpriced=int(tokens != Tokens()))


def check_priced(paid: Paid, what: str) -> Paid:
    """Return what was paid. Raises ConfigError if a price is not known: no budget can hold then.

    what: who used it, in words
    """
    if paid.unpriced:
        raise ConfigError(
            f"budget.max_cost_usd needs the price of a model that {what} asked before, and it is "
            f"not known. Set prices.batch: {PER_TOKENS}"
        )
    return paid
