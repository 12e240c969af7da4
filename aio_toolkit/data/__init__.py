"""Data dirs, audio files, mixing, and the order of batches."""
