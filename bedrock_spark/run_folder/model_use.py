"""What the answers of the fallback used, by the model that answered and the tier of the call.

There is one entry for a model and a tier, so a unit has a few of them, however many answers it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec


class ModelUse(msgspec.Struct, frozen=True):
    """What the answers of one model at one tier used.

    model_id: the model as the config named it; None if the lines do not say
    tier: one of those of prices/call_prices.py
    answers: their number
    tokens: `input` and `output`; if there are any, `reasoning`, `cache_read`, `cache_write`,
        `images`, and the number of `uncounted` answers, which tell neither tokens nor images
    """

    model_id: str | None
    tier: str
    answers: int
    tokens: dict[str, int]


def uses_of_json(values: object) -> tuple[ModelUse, ...]:
    """Return the entries of `fallback_models` in a report. Raises msgspec.ValidationError."""
    return msgspec.convert(values, tuple[ModelUse, ...])


@dataclass
class UseByModel:
    """Adds up what answers used, by model and tier."""

    _tokens: dict[tuple[str | None, str], Counter[str]] = field(default_factory=dict)
    _answers: Counter[tuple[str | None, str]] = field(default_factory=Counter)

    def add(self, model_id: str | None, tier: str, answers: int, tokens: Mapping[str, int]) -> None:
        """Add what some answers of a model used. tokens: as in `ModelUse`"""
        key = model_id, tier
        self._tokens.setdefault(key, Counter()).update(tokens)
        self._answers[key] += answers

    def add_all(self, uses: Iterable[ModelUse]) -> None:
        """Add what other sums have."""
        for use in uses:
            self.add(use.model_id, use.tier, use.answers, use.tokens)

    def uses(self) -> tuple[ModelUse, ...]:
        """Return the sums, by model and tier in the order of the alphabet."""
        keys = sorted(self._tokens, key=lambda key: (key[0] or "", key[1]))
        return tuple(ModelUse(*key, self._answers[key], dict(self._tokens[key])) for key in keys)

    def total(self) -> dict[str, int]:
        """Return the sum over all models and tiers; `input` and `output` also if they are 0."""
        return total_tokens(self.uses())


def total_tokens(uses: Iterable[ModelUse]) -> dict[str, int]:
    """Return the tokens of all models and tiers; `input` and `output` also if they are 0."""
    sums: Counter[str] = Counter()
    for use in uses:
        sums.update(use.tokens)
    counted = {name: number for name, number in sums.items() if number}
    return {"input": 0, "output": 0, **counted}
