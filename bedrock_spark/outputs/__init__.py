"""Read the outputs of batch jobs and of the fallback, and reconcile them with the records.

Images of answers are written as files. Output that does not fit is a finding, never an error.
"""
