"""Keep: add the answers of a run to the store of answers."""
