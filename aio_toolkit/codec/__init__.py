"""Neural audio codecs: the contract, the Descript Audio Codec, and what its training is made of."""
