"""Agreement of errors, predictions and inferred groups with the true groups."""
