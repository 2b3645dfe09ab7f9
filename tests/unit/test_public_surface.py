"""What users import."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import bedrock_spark


def test_the_public_names_are_these() -> None:
    """One more is a promise, one less breaks somebody: both are decisions."""
    assert sorted(bedrock_spark.__all__) == [
        "BedrockSparkError",
        "Config",
        "Pipeline",
        "Progress",
        "Report",
        "__version__",
        "load_config",
        "parse_config",
        "run",
    ]
    assert all(hasattr(bedrock_spark, name) for name in bedrock_spark.__all__)


def test_the_example_of_the_docstring_uses_what_is_there() -> None:
    """Every name on `bedrock_spark.` and `pipeline.`."""
    text = bedrock_spark.__doc__ or ""
    used = set(re.findall(r"bedrock_spark\.(\w+)", text))
    assert used == {"run", "Pipeline"}
    methods = set(re.findall(r"pipeline\.(\w+)\(", text))
    assert methods
    assert all(hasattr(bedrock_spark.Pipeline, name) for name in methods)


def test_the_version_is_in_one_place() -> None:
    """The package's metadata is read from it."""
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", bedrock_spark.__version__)
    assert metadata.version("bedrock-spark") == bedrock_spark.__version__


def test_types_are_part_of_the_package() -> None:
    """Without the marker, mypy ignores them in users' code."""
    assert (Path(bedrock_spark.__file__).parent / "py.typed").exists()
