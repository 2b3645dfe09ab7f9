"""Batch inference jobs: their operations, statuses, records and files."""
