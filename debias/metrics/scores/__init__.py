"""What scores say by bias value: ranking, F1, calibration, retrieval."""
