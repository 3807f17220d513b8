"""What the predictions of an earlier model say about later training: pure functions of tensors."""

from debias.group_inference.attended import attended
from debias.group_inference.clusters import Clusters, class_clusters
from debias.group_inference.cross_mistakes import cross_mistakes
from debias.group_inference.decomposition import elbows, least_losses, most_attended
from debias.group_inference.disagreement import largest_disagreement, largest_losses
from debias.group_inference.environments import environment_violation, environment_weights
from debias.group_inference.errors import error_set
from debias.group_inference.focal import focal_weights
from debias.group_inference.pseudo_labels import balanced_pseudo_labels

__all__ = [
    "Clusters",
    "attended",
    "balanced_pseudo_labels",
    "class_clusters",
    "cross_mistakes",
    "elbows",
    "environment_violation",
    "environment_weights",
    "error_set",
    "focal_weights",
    "largest_disagreement",
    "largest_losses",
    "least_losses",
    "most_attended",
]
