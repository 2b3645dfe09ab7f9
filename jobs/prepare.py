"""Cut the source into shards, and submit nothing.

spark-submit jobs/prepare.py --config conf/tickets.yaml [--set KEY=VALUE ...]
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("bedrock_spark.jobs.prepare", run_name="__main__")
