"""Group accuracies: counts, scalars, confidence intervals and paired tests."""
