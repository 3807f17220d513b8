"""Classifiers that return ``Outputs``: any timm model, with weights from timm or a local file."""
