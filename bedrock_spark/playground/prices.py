"""What one call costs: by the prices of a config, or by the list."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bedrock_spark.aws.clients import AwsSettings, region_here
from bedrock_spark.aws.model_family import ServedModel
from bedrock_spark.aws.provisioned import is_provisioned
from bedrock_spark.config import Config, TokenPrices
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.families import Answer
from bedrock_spark.prices import RunPrices, find_prices, price_table

_CUSTOM = ":custom-model/"


@dataclass(frozen=True)
class CallPrice:
    """The prices of a call on demand.

    tokens: dollars per 1,000 tokens; image: dollars per image; None if not known
    origin: where they come from, in words; None if nothing is known
    is_by_hour: whether the model is provisioned throughput, whose price is no matter of calls
    listed_image: the model whose list price `image` is, "" if it is not known; None if `image` is
        the user's own
    long_input: a call with more input tokens costs more than `tokens` say; None if none does
    """

    tokens: TokenPrices | None = None
    image: Decimal | None = None
    origin: str | None = None
    is_by_hour: bool = False
    listed_image: str | None = ""
    long_input: int | None = None

    @property
    def is_known(self) -> bool:
        """Tell whether a call has a price."""
        return self.tokens is not None or self.image is not None

    def cost(self, answer: Answer) -> Decimal | None:
        """Return what a call with this answer cost, in dollars.

        None if the price is not known, or the answer counts nothing of what it has a price for.
        """
        is_counted = answer.input_tokens is not None and self.tokens is not None
        is_drawn = bool(answer.images) and self.image is not None
        if not is_counted and not is_drawn:
            return None
        tokens = Tokens(
            *(answer.input_tokens or 0, answer.output_tokens or 0, len(answer.images)),
            *(answer.cache_read_tokens or 0, answer.cache_write_tokens or 0),
        )
        return tokens.cost(self.tokens, self.image)


def list_price(model: ServedModel, aws: AwsSettings) -> CallPrice:
    """Return the list prices of a model in the Region of its calls. Calls no service."""
    if is_provisioned(model.id):
        return CallPrice(is_by_hour=True)
    if _CUSTOM in model.id:  # its price is not that of its base
        return CallPrice()
    found = find_prices(model.base, aws.region or region_here(), price_table())
    if not found.is_known:
        return CallPrice()
    place = f", {found.place}" if found.place else ""
    origin = f"list prices: {found.dated_source}{place}"
    return CallPrice(
        *(found.tiers.get("standard"), found.image, origin),
        listed_image=model.base,
        long_input=found.long_input,
    )


def config_price(config: Config, model: ServedModel, aws: AwsSettings) -> CallPrice:
    """Return the prices of a call for a config: its own, and list prices for what it leaves out.

    A single call costs twice the config's price of batch jobs, as that of a canary does.
    """
    own = config.prices
    listed = CallPrice() if own.source == "none" else list_price(model, aws)
    if is_provisioned(model.id):
        return CallPrice(is_by_hour=True)
    tokens = None
    if config.fallback is not None and model.id == config.fallback.model_id:
        tokens = own.fallback
    if tokens is None and model.id == config.model.id:
        tokens = RunPrices(batch=own.batch).of_canary
    if tokens is None and own.image is None:
        return listed
    return CallPrice(
        listed.tokens if tokens is None else tokens,
        listed.image if own.image is None else own.image,
        "the config's own prices",
        listed_image=listed.listed_image if own.image is None else None,
        long_input=listed.long_input if tokens is None else None,
    )
