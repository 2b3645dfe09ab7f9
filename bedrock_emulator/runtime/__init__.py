"""The runtime operations: InvokeModel, Converse and their streams."""
