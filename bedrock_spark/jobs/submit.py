"""Submit batch jobs and watch them until every shard is settled.

spark-submit "$(bedrock-spark jobs-path submit)" --config tickets.yaml [--set KEY=VALUE ...]
"""

from bedrock_spark.cli import stages

if __name__ == "__main__":
    stages.run_program(stages.submit, __doc__)
