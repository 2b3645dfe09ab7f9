"""Cut the source into shards, and submit nothing.

spark-submit "$(bedrock-spark jobs-path prepare)" --config tickets.yaml [--set KEY=VALUE ...]
"""

import sys

from bedrock_spark.cli import stages

if __name__ == "__main__":
    sys.exit(stages.perform_from_arguments(stages.prepare, __doc__))
