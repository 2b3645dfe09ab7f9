"""Run the whole pipeline: prepare, batch jobs, collect, fallback, publish, report.

spark-submit "$(bedrock-spark jobs-path run)" --config tickets.yaml [--set KEY=VALUE ...]
"""

import sys

from bedrock_spark.cli import stages

if __name__ == "__main__":
    sys.exit(stages.perform_from_arguments(stages.run, __doc__))
