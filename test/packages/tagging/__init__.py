"""A third kind of answer, as somebody else's package would bring it: the tags of an utterance, scored by F1."""
