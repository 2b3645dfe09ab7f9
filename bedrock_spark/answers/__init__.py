"""The store of answers: Parquet files below one URI, which runs and teams share.

Answers are found by what was asked (digest.py). Files are only ever added, so many may write at the
same time; a reader pins the list of files once (store.py), and sees no change after that. Each
file is sorted by the hash of the body, so whoever needs a range of hashes reads a part of it.

This part knows files, not runs: it starts no Spark, and decides about no row.
"""
