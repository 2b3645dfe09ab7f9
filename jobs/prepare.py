"""Cut the source into shards, and submit nothing.

spark-submit jobs/prepare.py --config conf/tickets.yaml [--set KEY=VALUE ...]
"""

import sys

from bedrock_spark.cli import stages

if __name__ == "__main__":
    sys.exit(stages.perform_from_arguments(stages.prepare, __doc__))
