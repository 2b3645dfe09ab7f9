"""The list prices of a model in a Region."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.families.model_ids import MODEL_IDS
from bedrock_spark.prices import PriceTable, find_prices, price_table

ROWS = {
    "a.one-v1:0": {
        "standard": {"input": "1", "output": "2", "cache_read": "0.1"},
        "batch": {"input": "0.5", "output": "1"},
    },
    "us.a.one-v1:0": {"standard": {"input": "1.1", "output": "2.2"}},
    "eu-west-1/a.one-v1:0": {"standard": {"input": "1.3", "output": "2.6"}},
    "us-gov-west-1/a.one-v1:0": {"standard": {"input": "1.9", "output": "3.9"}},
    "us.a.two-v1": {
        "standard": {"input": "3", "output": "4"},
        "flex": {"input": "1.5", "output": "2"},
    },
    "eu.a.two-v1": {
        "standard": {"input": "2", "output": "5"},
        "flex": {"input": "1", "output": "2"},
    },
    "global.a.two-v1": {"standard": {"input": "1", "output": "1"}},
    "a.image-v1:0": {"image": "0.06"},
}
TABLE = PriceTable("litellm 1.2.3", "2026-11-26", ROWS)


@pytest.mark.parametrize(
    ("model_id", "region", "standard", "place"),
    [
        ("a.one-v1:0", "us-east-1", "1", "us-east-1"),
        ("a.one-v1:0", None, "1", "us-east-1"),
        ("a.one-v1:0", "ap-south-1", "1", "us-east-1"),
        ("a.one-v1:0", "eu-west-1", "1.3", "eu-west-1"),
        ("a.one-v1:0:300k", "eu-west-1", "1.3", "eu-west-1"),
        ("us.a.one-v1:0", "us-west-2", "1.1", "us"),
        ("a.one-v1:0", "us-gov-west-1", "1.9", "us-gov-west-1"),
        ("a.one-v1:0", "us-gov-east-1", "1.9", "another Region's price"),
        ("jp.a.one-v1:0", "ap-northeast-1", "1.3", "the highest price of 3 Regions"),
        ("arn:aws:bedrock:eu-west-1::foundation-model/a.one-v1:0", "eu-west-1", "1.3", "eu-west-1"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.a.one-v1:0",
            "x",
            "1.1",
            "us",
        ),
        ("a.two-v1", "us-east-1", "3", "the highest price of 3 Regions"),
        ("a.two-v1", "us-gov-west-1", None, None),
        ("a.three", "us-east-1", None, None),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/x", "x", None, None),
        ("arn:aws:bedrock:us-east-1:123456789012:imported-model/a.one-v1:0", "x", None, None),
    ],
)
def test_the_most_exact_row_counts(
    model_id: str, region: str | None, standard: str | None, place: str | None
) -> None:
    """The Region's row, the id's, or else the highest of the model; GovCloud has its own rows."""
    found = find_prices(model_id, region, TABLE)
    tier = found.tiers.get("standard")
    assert (tier and tier.input) == (standard and Decimal(standard))
    assert found.place == place
    assert found.is_known is (standard is not None)
    assert (found.model_id, found.region) == (model_id, region)


def test_a_tier_that_is_not_in_the_row_is_unknown() -> None:
    """It is not computed from another tier, nor taken from one of several rows that has it."""
    assert set(find_prices("us.a.one-v1:0", None, TABLE).tiers) == {"standard"}
    highest = find_prices("jp.a.two-v1", None, TABLE)
    assert set(highest.tiers) == {"standard"}
    assert (highest.tiers["standard"].input, highest.tiers["standard"].output) == (3, 5)
    image = find_prices("a.image-v1:0", None, TABLE)
    assert (image.image, image.tiers, image.is_known) == (Decimal("0.06"), {}, True)


def test_the_source_has_its_date() -> None:
    """An installed litellm has none: its version says how old it is."""
    found = find_prices("a.one-v1:0", "eu-west-1", TABLE)
    assert found.dated_source == "litellm 1.2.3 of 2026-11-26"
    undated = PriceTable("litellm 9.9", None, ROWS)
    assert find_prices("us.a.two-v1", None, undated).dated_source == "litellm 9.9"


@given(
    st.sampled_from(MODEL_IDS),
    st.sampled_from(["", "us", "us-gov", "eu", "global", "in"]),
    st.sampled_from([None, "us-east-1", "eu-central-1", "ap-northeast-1", "us-gov-west-1"]),
)
def test_any_id_is_looked_up_without_an_error(
    model_id: str, geography: str, region: str | None
) -> None:
    """In the table of the package. A batch price is never above the price on demand."""
    found = find_prices(f"{geography}.{model_id}" if geography else model_id, region, price_table())
    batch, standard = found.tiers.get("batch"), found.tiers.get("standard")
    if batch is not None and standard is not None:
        assert batch.input <= standard.input
        assert batch.output <= standard.output
