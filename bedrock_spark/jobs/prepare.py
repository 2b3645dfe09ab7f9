"""Cut the source into shards, and submit nothing.

spark-submit "$(bedrock-spark jobs-path prepare)" --config tickets.yaml [--set KEY=VALUE ...]
"""

from bedrock_spark.cli import stages

if __name__ == "__main__":
    stages.run_program(stages.prepare, __doc__)
