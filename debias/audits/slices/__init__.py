"""Slices: groups of images on which a model errs, found without labels of them."""
