"""Show what would fail late, on this cluster: its driver and its executors are looked at, too.

spark-submit "$(bedrock-spark jobs-path doctor)" --config tickets.yaml [--set KEY=VALUE ...]
"""

from bedrock_spark.cli.doctor import run_program

if __name__ == "__main__":
    run_program(__doc__)
