"""Self-supervised objectives, from which stage 3 trains the encoder."""
