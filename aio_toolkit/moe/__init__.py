"""Mixture of Experts: routers, experts, balances and the layer made of them."""
