"""Begin: a config for a source, its policies, and the command lines; or a whole example."""
