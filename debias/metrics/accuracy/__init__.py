"""Accuracy by group: counts, scalars, intervals and paired tests."""
