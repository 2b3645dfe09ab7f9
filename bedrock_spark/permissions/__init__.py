"""The least permissions that a run of a config needs, as IAM policies."""

from bedrock_spark.permissions.formats import FORMATS, NAMES, Policies
from bedrock_spark.permissions.policies import policies_of, policies_of_all

__all__ = ["FORMATS", "NAMES", "Policies", "policies_of", "policies_of_all"]
