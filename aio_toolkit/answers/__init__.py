"""Kinds of answer: what their targets are on disk, how they are read, checked and batched."""
