"""List prices by model id and Region, and the prices that a run counts with.

Nothing here calls the network: the table is a file of the package. What it does not have is
unknown, and stays so until the user's own `prices` say it.
"""

from bedrock_spark.prices.call_prices import CallPrices, NamedFallback, tier_paid
from bedrock_spark.prices.lookup import ModelPrices, find_prices
from bedrock_spark.prices.run_prices import RunPrices, prices_of_run
from bedrock_spark.prices.table import PriceTable, price_table
from bedrock_spark.prices.words import price_rows, prices_as_json

__all__ = [
    "CallPrices",
    "ModelPrices",
    "NamedFallback",
    "PriceTable",
    "RunPrices",
    "find_prices",
    "price_rows",
    "price_table",
    "prices_as_json",
    "prices_of_run",
    "tier_paid",
]
