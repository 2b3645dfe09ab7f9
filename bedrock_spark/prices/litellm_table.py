"""Read the prices of Amazon Bedrock from the price table of the PyPI package litellm.

The file is `model_prices_and_context_window_backup.json` of the package (MIT license). An entry is
a model by its id, with a geography or not, or `bedrock/<Region>/<id>` if a Region has its own
price. Prices are dollars per token. The entries of other services of AWS (`bedrock_mantle`,
`claude_platform`), of commitments and of single image sizes are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

FILE_NAME = "model_prices_and_context_window_backup.json"
PROVIDERS = frozenset({"bedrock", "bedrock_converse"})
# The ends of litellm's keys, by our names of tiers.
_TIERS = {"standard": "", "batch": "_batches", "flex": "_flex", "priority": "_priority"}
_KINDS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
}
_ID = re.compile(r"(?:bedrock/)?((?:[a-z]{2}(?:-[a-z]+)+-\d+/)?[a-z0-9-]+(?:\.[a-zA-Z0-9:_-]+)+)")
_LONG = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")


def rows_of(table: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the rows of our table, in dollars per 1,000 tokens as text, by `[Region/]model id`.

    table: litellm's file, with numbers as Decimal
    """
    rows: dict[str, dict[str, Any]] = {}
    for key in sorted(table):
        name, entry = _ID.fullmatch(key), table[key]
        if name is None or entry.get("litellm_provider") not in PROVIDERS:
            continue
        row = _row(entry)
        # `bedrock/<id>` repeats an entry for older callers: the plain id is kept up.
        if row and (key == name[1] or "/" in name[1] or name[1] not in table):
            rows[name[1]] = row
    return rows


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for tier, end in _TIERS.items():
        prices = {kind: entry.get(f"{key}{end}") for kind, key in _KINDS.items()}
        if prices["input"] is None:
            continue
        # An embedding has no output tokens, and litellm names no price or 0 for them.
        prices["output"] = prices["output"] or 0
        row[tier] = {k: _per_thousand(v) for k, v in prices.items() if v is not None}
    standard = row.get("standard")
    if standard is not None and not any(Decimal(v) for v in standard.values()):
        row = {}  # such as rerank, which is paid by the query
    if isinstance(entry.get("output_cost_per_image"), (int, Decimal)):
        row["image"] = _plain(Decimal(entry["output_cost_per_image"]))
    above = [int(match[1]) for match in map(_LONG.fullmatch, entry) if match]
    if row and above:
        row["long_input"] = min(above) * 1_000
    return row


def _per_thousand(price: Any) -> str:
    return _plain(Decimal(price) * 1_000)


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")
