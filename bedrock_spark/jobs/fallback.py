"""Ask the unanswered records of a collected run again, on demand, and write the report.

spark-submit "$(bedrock-spark jobs-path fallback)" --config tickets.yaml [--set KEY=VALUE ...]
"""

import sys

from bedrock_spark.cli import stages

if __name__ == "__main__":
    sys.exit(stages.perform_from_arguments(stages.fallback, __doc__))
