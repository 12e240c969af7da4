"""Lightning modules, data module, optimisers and the training loop they share."""
