"""Encoders: frames to frames."""
