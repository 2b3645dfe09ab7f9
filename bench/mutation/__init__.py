"""Mutation testing: what `bench/mutants.py` is made of."""
