"""Evaluation of a trained model: predictions, measures of every family, and attention maps."""
