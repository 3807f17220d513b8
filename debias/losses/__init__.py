"""Mathematical quantities: per-sample in, per-sample or scalar out. Nothing here knows of models or training."""

from debias.losses.balanced_weights import balanced_weights
from debias.losses.classification import classification_losses
from debias.losses.confusion import confusion_losses
from debias.losses.gradient_reversal import reverse_gradient
from debias.losses.group_dro import GroupDROLoss
from debias.losses.group_means import GroupMeans, group_means
from debias.losses.hsic import (
    HSIC,
    hsic_biased,
    hsic_unbiased,
    joined_rows,
    linear_kernel,
    median_distance,
    rbf_kernel,
)

__all__ = [
    "HSIC",
    "GroupDROLoss",
    "GroupMeans",
    "balanced_weights",
    "classification_losses",
    "confusion_losses",
    "group_means",
    "hsic_biased",
    "hsic_unbiased",
    "joined_rows",
    "linear_kernel",
    "median_distance",
    "rbf_kernel",
    "reverse_gradient",
]
