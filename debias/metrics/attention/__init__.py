"""Measures of attention: how well attribution maps agree with foreground masks."""
