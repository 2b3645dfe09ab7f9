"""Repartition local Parquet files by hash on one machine, without the JVM.

Spark hands each row to Python through Java: decoded, shuffled and sorted as rows, and written as
Arrow. If all tasks run on this machine and the source is plain Parquet files on it, a task reads
some of them by Arrow and writes their rows in the order of bucket and hash to a local file. Another
task maps these files into memory and merges the rows of its bucket. Spark only schedules the tasks.

The shards are those that Spark's shuffle leads to, byte for byte. What Arrow might read otherwise
than Spark is left to Spark's shuffle.
"""
