"""Where answers come from: a function of the request, or a model server of the user."""
