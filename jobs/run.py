"""Run the whole pipeline: prepare, batch jobs, collect, fallback, publish, report.

spark-submit jobs/run.py --config conf/tickets.yaml [--set KEY=VALUE ...]
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("bedrock_spark.jobs.run", run_name="__main__")
