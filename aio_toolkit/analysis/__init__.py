"""What a codec and a trained model can and cannot do."""
