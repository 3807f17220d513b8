"""Classifiers that return ``Outputs``: any timm model by name, with weights from timm or from a local file."""

from debias.models.classifier import Classifier, timm_classifier
from debias.models.weights import load_weights, read_state_dict

__all__ = ["Classifier", "load_weights", "read_state_dict", "timm_classifier"]
