"""Mixture of Experts: routers, experts, balance losses."""
