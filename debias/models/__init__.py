"""Classifiers that return ``Outputs``: any timm model, with weights of timm or of a local file."""
