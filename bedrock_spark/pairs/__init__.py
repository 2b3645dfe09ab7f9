"""Pair the rows of two tables by key, and count what is equal and what differs.

A table becomes compact rows: hashes of key and values instead of the values. Compact rows that are
sorted by key are paired and counted in one pass, and counts can be added up. So one piece of code
compares two small tables in memory and two large ones on Spark, with the same numbers.
"""
