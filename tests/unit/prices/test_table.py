"""The price table of the package, and how it is made from litellm's."""

from __future__ import annotations

import json
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bedrock_spark.prices import table as tables
from bedrock_spark.prices.lookup import TIERS
from bedrock_spark.prices.table import PriceTable, price_table, read_litellm, table_text

LITELLM = """{
  "a.one-v1:0": {"litellm_provider": "bedrock_converse", "input_cost_per_token": 3e-07,
    "output_cost_per_token": 2.5e-06, "input_cost_per_token_batches": 1.5e-07,
    "output_cost_per_token_batches": 1.25e-06, "cache_read_input_token_cost": 7.5e-08,
    "input_cost_per_token_above_200k_tokens": 6e-07},
  "bedrock/eu-west-1/a.one-v1:0": {"litellm_provider": "bedrock", "input_cost_per_token": 4e-07,
    "output_cost_per_token": 3e-06, "input_cost_per_token_flex": 2e-07,
    "output_cost_per_token_flex": 1.5e-06},
  "bedrock/a.one-v1:0": {"litellm_provider": "bedrock", "input_cost_per_token": 9},
  "bedrock/b.two": {"litellm_provider": "bedrock", "input_cost_per_token": 1e-06},
  "a.embed-v1": {"litellm_provider": "bedrock", "input_cost_per_token": 2e-08},
  "a.image": {"litellm_provider": "bedrock", "output_cost_per_image": 0.06},
  "a.rerank": {"litellm_provider": "bedrock", "input_cost_per_token": 0.0,
    "output_cost_per_token": 0.0, "input_cost_per_query": 0.001},
  "bedrock_mantle/a.one": {"litellm_provider": "bedrock_mantle", "input_cost_per_token": 1},
  "bedrock/claude_platform/a.one": {"litellm_provider": "bedrock", "input_cost_per_token": 1},
  "bedrock/us-east-1/1-month-commitment/a.one": {"litellm_provider": "bedrock",
    "input_cost_per_second": 1},
  "512-x-512/50-steps/a.image": {"litellm_provider": "bedrock", "output_cost_per_image": 0.02},
  "a.one@2": {"litellm_provider": "bedrock", "input_cost_per_token": 1},
  "gpt-6": {"litellm_provider": "openai", "input_cost_per_token": 1}
}"""


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    price_table.cache_clear()
    yield
    price_table.cache_clear()


def test_rows_are_per_thousand_tokens_and_exact() -> None:
    """Other services, commitments, single sizes of images and prices by the query are left out."""
    assert read_litellm(LITELLM) == {
        "a.one-v1:0": {
            "standard": {"input": "0.0003", "output": "0.0025", "cache_read": "0.000075"},
            "batch": {"input": "0.00015", "output": "0.00125"},
            "long_input": 200_000,
        },
        "eu-west-1/a.one-v1:0": {
            "standard": {"input": "0.0004", "output": "0.003"},
            "flex": {"input": "0.0002", "output": "0.0015"},
        },
        "b.two": {"standard": {"input": "0.001", "output": "0"}},
        "a.embed-v1": {"standard": {"input": "0.00002", "output": "0"}},
        "a.image": {"image": "0.06"},
    }


def test_the_file_has_a_line_for_each_model_and_its_license() -> None:
    """So a change of prices is a readable diff."""
    text = table_text("1.2.3", "2026-11-26", read_litellm(LITELLM))
    content = json.loads(text)
    assert (content["version"], content["date"]) == ("1.2.3", "2026-11-26")
    assert "MIT License, Copyright" in content["license"]
    assert len(text.splitlines()) == 4 + len(content["models"]) + 4


def test_the_table_of_the_package_has_prices_of_every_kind() -> None:
    """All of them are dollars per 1,000 tokens; none is absurd."""
    table = price_table()
    assert table.source.startswith("litellm ")
    assert table.date is not None
    assert len(table.rows) > 400
    for row in table.rows.values():
        assert row.keys() <= {*TIERS, "image", "long_input"}
        for tier in row.keys() & set(TIERS):
            assert all(0 <= Decimal(price) < 1 for price in row[tier].values())
            assert {"input", "output"} <= row[tier].keys()
    for tier in TIERS:
        assert sum(tier in row for row in table.rows.values()) > 50


@pytest.mark.parametrize(
    ("version", "is_read"), [("999.0.1", True), ("1.2.3", False), ("999.0.1.dev4", True)]
)
def test_an_installed_litellm_is_read_if_it_is_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, is_read: bool
) -> None:
    """Its file is read; the package is not imported."""
    (tmp_path / tables.FILE_NAME).write_text(LITELLM, encoding="utf-8")
    monkeypatch.setattr(metadata, "version", lambda name: version)
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(tables, "find_spec", lambda name: spec)
    table = price_table()
    assert (table.source == f"litellm {version}") is is_read
    if is_read:
        assert table == PriceTable(f"litellm {version}", None, read_litellm(LITELLM))


@pytest.mark.parametrize(
    "text",
    [
        "not JSON",
        "[1]",
        '{"a.b": 1}',
        '{"a.b": {"litellm_provider": []}}',
        '{"a.b": {"litellm_provider": "bedrock", "input_cost_per_token": "cheap"}}',
        '{"a.b": {"litellm_provider": "bedrock", "input_cost_per_token": {}}}',
    ],
)
def test_a_litellm_that_cannot_be_read_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """It is another package's file, in a version that nobody has seen: the own table counts."""
    (tmp_path / tables.FILE_NAME).write_text(text, encoding="utf-8")
    monkeypatch.setattr(metadata, "version", lambda name: "999.0")
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(tables, "find_spec", lambda name: spec)
    assert price_table().date is not None
    assert "the own table counts" in caplog.text


def test_a_litellm_without_the_file_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version may have moved it."""
    monkeypatch.setattr(metadata, "version", lambda name: "999.0")
    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    assert price_table().date is not None
