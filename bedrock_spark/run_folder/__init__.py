"""The run folder: its layout, and the durable state of a run, which any machine can read.

Nothing here submits a batch job or sends a record to a model.
"""
