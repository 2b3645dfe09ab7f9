"""The rounds of the fallback, and the provisioned throughput that a run may buy for it.

Nothing here sends a record: the Spark tasks in bedrock_spark/spark/fallback do.
"""
