"""How well errors, predictions and inferred groups agree with the true groups."""
