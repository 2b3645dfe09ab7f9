"""The published JSON Schema of `plan --json` is that of the value."""

from __future__ import annotations

import json
from pathlib import Path

from bedrock_spark.planning.values import Plan

FILE = Path(__file__).parents[3] / "docs" / "schemas" / "plan.json"


def test_the_published_schema_is_that_of_the_value() -> None:
    schema = Plan.model_json_schema(mode="serialization")
    assert json.loads(FILE.read_text()) == schema, f"replace {FILE.name} by this schema"
