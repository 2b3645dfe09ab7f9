"""docs/lakehouse.md: its configs are valid, and its commands name one catalog with its settings."""

from __future__ import annotations

import pytest

from bedrock_spark.config import parse_config
from tests.sources_doc import LAKEHOUSE, Example, examples
from tests.unit.fakes import config_values

CONFIGS, COMMANDS = examples("yaml", LAKEHOUSE), examples("bash", LAKEHOUSE)


def test_the_page_has_an_example_for_each_catalog() -> None:
    """Those of the headings that were run are run by tests/e2e/test_table_formats.py."""
    assert len(CONFIGS) >= 12
    assert {e.heading for e in COMMANDS} <= {e.heading for e in CONFIGS}


@pytest.mark.parametrize("example", CONFIGS, ids=str)
def test_its_configs_are_valid(example: Example) -> None:
    """Each example is a section or two of a config."""
    sections = example.config("s3://lake")
    config = parse_config({**config_values(), **sections})
    assert {"source", "results"} & sections.keys()
    assert config.results.mode == "merge" or "results" not in sections


@pytest.mark.parametrize("example", COMMANDS, ids=str)
def test_its_commands_configure_one_catalog(example: Example) -> None:
    """Every setting of a catalog belongs to the one that the example's class defines."""
    settings = example.settings("s3://lake")
    catalogs = {name for name in settings if name.count(".") == 3 and ".catalog." in name}
    others = {name for name in settings if name.startswith("spark.sql.catalog.")} - catalogs
    assert len(catalogs) == (0 if example.heading == "Hive" else 1)
    assert all(name.startswith(f"{catalog}.") for catalog in catalogs for name in others)
    if "iceberg" in " ".join(settings.values()):
        assert "IcebergSparkSessionExtensions" in settings["spark.sql.extensions"]
