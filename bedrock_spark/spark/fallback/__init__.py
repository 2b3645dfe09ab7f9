"""The Spark tasks of the fallback: they send unanswered records to a model and write the answers.

How many rounds there are, and what the budget allows, is decided in bedrock_spark/fallback.
"""
