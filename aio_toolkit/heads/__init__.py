"""Output heads: text tokens and codec codes."""
