"""Token prices, estimates of the tokens a run needs, and the budget of a run.

Prices are those of the run: nothing here looks one up, and nothing calls a model.
"""
