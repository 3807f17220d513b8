"""Fairness: rates of each bias value, such as true positives, and their differences."""
