"""Lightning modules, data module, optimizers and the training loop they share."""
