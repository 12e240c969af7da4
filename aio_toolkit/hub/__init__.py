"""A finished model and what it answers to recordings: for Python, and for the command `answer`."""
