"""Kaldi-style data directories, audio input, mixing, datasets, batches."""
