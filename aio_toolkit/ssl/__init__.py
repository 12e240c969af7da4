"""Self-supervised objectives for the front-end encoder."""
