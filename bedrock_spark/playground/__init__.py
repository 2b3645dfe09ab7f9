"""Ask a model by hand: what `invoke` on the terminal and the page of the playground share."""
