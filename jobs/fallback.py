"""Ask the unanswered records of a collected run again, on demand, and write the report.

spark-submit jobs/fallback.py --config conf/tickets.yaml [--set KEY=VALUE ...]
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("bedrock_spark.jobs.fallback", run_name="__main__")
