"""Show what would fail late, on this cluster: its driver and its executors are looked at, too.

spark-submit jobs/doctor.py --config conf/tickets.yaml [--set KEY=VALUE ...]
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("bedrock_spark.jobs.doctor", run_name="__main__")
