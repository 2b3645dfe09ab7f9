"""Everything in the world that would make a run of a config fail late, found before it is paid."""

from bedrock_spark.doctor.diagnose import diagnose
from bedrock_spark.doctor.findings import Diagnosis, Finding, Group, Level

__all__ = ["Diagnosis", "Finding", "Group", "Level", "diagnose"]
