"""Balances by name: what keeps experts in use."""
