"""Prepare: read the source, render every row to a record, repartition by hash, write shards."""
