"""Routers by name: which experts a token of a given task visits."""
