"""Measures of scores for each bias value: ranking, F1, calibration and retrieval."""
