"""Read a few rows of plain files by Arrow, as Spark would read them, without Spark.

Spark takes many seconds to start, and a machine that only looks at rows may not have it. What Arrow
may read differently is not read here: NeedsSparkError says why.
"""
