"""The neural audio codec: wrapping, training, tokenization."""
