"""Shards: record ids, the number of buckets, where a bucket is cut, and the lines of a shard."""
