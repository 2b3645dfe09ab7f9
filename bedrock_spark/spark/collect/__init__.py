"""The Spark tasks of collect: each joins the answers of one shard to its rows and counts them.

They call no model, and no data is shuffled between them.
"""
