"""Ways from the frames of a source to the codes of a codec."""
