"""Ask the unanswered records of a collected run again, on demand, and write the report.

spark-submit "$(bedrock-spark jobs-path fallback)" --config tickets.yaml [--set KEY=VALUE ...]
"""

from bedrock_spark.cli import stages

if __name__ == "__main__":
    stages.run_program(stages.fallback, __doc__)
