"""Join the answers to the source rows, and write the report.

spark-submit "$(bedrock-spark jobs-path collect)" --config tickets.yaml [--set KEY=VALUE ...]
"""

import sys

from bedrock_spark.cli import stages

if __name__ == "__main__":
    sys.exit(stages.perform_from_arguments(stages.collect, __doc__))
