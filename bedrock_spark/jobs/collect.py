"""Join the answers to the source rows, and write the report.

spark-submit "$(bedrock-spark jobs-path collect)" --config tickets.yaml [--set KEY=VALUE ...]
"""

from bedrock_spark.cli import stages

if __name__ == "__main__":
    stages.run_program(stages.collect, __doc__)
