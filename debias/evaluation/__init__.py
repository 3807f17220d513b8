"""A trained model is asked: predictions, measures of every family, and where it looks."""
