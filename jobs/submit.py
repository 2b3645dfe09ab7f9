"""Submit batch jobs and watch them until every shard is settled.

spark-submit jobs/submit.py --config conf/tickets.yaml [--set KEY=VALUE ...]
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("bedrock_spark.jobs.submit", run_name="__main__")
