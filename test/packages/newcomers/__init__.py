"""One part of every sort that takes a single file, as somebody else's package would bring them."""
