"""Audits of rows: duplicates, labels, splits, and how different the images of a class are."""
