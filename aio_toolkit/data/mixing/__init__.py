"""Rules by which mixtures are made of their sources, anew in every training step."""
