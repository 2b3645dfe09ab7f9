"""Single calls to a model: the call itself, its stream, and the rate limit of many calls."""
