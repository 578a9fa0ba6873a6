"""The parts of the training loop, one thing a file; `cascadepose.train` puts them together."""
