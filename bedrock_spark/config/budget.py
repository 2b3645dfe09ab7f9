"""The most that a run may cost."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from bedrock_spark.config.base import Section


class BudgetConfig(Section):
    """The most that a run may cost, computed from the prices in the config."""

    shorthand = "max_cost_usd"

    max_cost_usd: Decimal | None = Field(default=None, gt=0)
