"""Fairness: rates of each bias value and how far they differ."""
