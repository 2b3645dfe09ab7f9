"""Calls to AWS, one service call or one group of them a file, and how their errors are handled."""
