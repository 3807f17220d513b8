"""Leakage: how well the bias can be predicted from a model's outputs or features."""
