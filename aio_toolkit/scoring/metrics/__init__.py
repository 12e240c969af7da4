"""Metrics: the numbers that an answer contributes, and the score of their sums."""
