"""Front ends (wave to frames) and encoders (frames to frames)."""
