"""From a trained checkpoint to hypotheses: text by beam search, audio by the codec."""
