"""Model families, and the mapping from a model id to its family.

A new family is one small file, one line in registry.py and its rows in docs/families.md.
"""

from bedrock_spark.families.bare_ids import GEOGRAPHIES, bare_model_id, without_geography
from bedrock_spark.families.base import Answer, Family
from bedrock_spark.families.registry import (
    FAMILIES,
    converse_reason,
    family_by_name,
    family_of,
    family_of_model,
    invocation_of,
    limits_of,
)

__all__ = [
    "FAMILIES",
    "GEOGRAPHIES",
    "Answer",
    "Family",
    "bare_model_id",
    "converse_reason",
    "family_by_name",
    "family_of",
    "family_of_model",
    "invocation_of",
    "limits_of",
    "without_geography",
]
