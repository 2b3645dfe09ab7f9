"""The programs of spark-submit, one a stage. jobs-path prints where they are installed."""
