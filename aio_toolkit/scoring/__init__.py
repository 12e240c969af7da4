"""Metrics, confidence intervals and the results table."""
