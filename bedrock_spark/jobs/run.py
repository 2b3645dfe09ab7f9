"""Run the whole pipeline: prepare, batch jobs, collect, fallback, publish, report.

spark-submit "$(bedrock-spark jobs-path run)" --config tickets.yaml [--set KEY=VALUE ...]
"""

from bedrock_spark.cli import stages

if __name__ == "__main__":
    stages.run_program(stages.run, __doc__)
