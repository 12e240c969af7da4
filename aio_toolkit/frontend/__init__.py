"""Front ends: waves to frames."""
