"""Which spatial frequencies of an image a model uses."""
