"""Which spatial frequencies a model reads."""
