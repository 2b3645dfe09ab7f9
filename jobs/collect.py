"""Join the answers to the source rows, and write the report.

spark-submit jobs/collect.py --config conf/tickets.yaml [--set KEY=VALUE ...]
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("bedrock_spark.jobs.collect", run_name="__main__")
