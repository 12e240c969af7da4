"""A third kind of answer, as somebody else's package would bring it: tags, scored by F1."""
