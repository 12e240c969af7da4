"""Experts by name: what tokens visit."""
