"""Whole models, put together from the interchangeable parts."""
