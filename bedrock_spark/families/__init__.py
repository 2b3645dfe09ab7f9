"""Model families, and which one a model id belongs to.

A new family is one small file and one line here. docs/families.md lists them.
"""

from bedrock_spark.families.base import Answer, Family
from bedrock_spark.families.registry import FAMILIES, bare_model_id, family_by_name, family_of

__all__ = ["FAMILIES", "Answer", "Family", "bare_model_id", "family_by_name", "family_of"]
