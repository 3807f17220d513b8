"""Somebody's own package: a strategy, an augmentation and a data set, in one file each."""
