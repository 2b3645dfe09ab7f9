"""Where answers come from: a function of the request, or a model of the user's own."""
