"""Mathematical quantities: per-sample in, per-sample or scalar out. They know no models."""

from debias.losses.balanced_weights import balanced_weights
from debias.losses.classification import classification_losses
from debias.losses.confusion import confusion_losses
from debias.losses.coral import CORALLoss
from debias.losses.cvar import cvar
from debias.losses.domain_inference import head_average, head_probability, joint_score
from debias.losses.entanglement import disentangling_loss, entangling_loss
from debias.losses.fairness_gaps import (
    demographic_parity_gap,
    equal_opportunity_gap,
    equalized_odds_gap,
)
from debias.losses.flac import flac_loss
from debias.losses.focal import focal_losses
from debias.losses.generalized_cross_entropy import generalized_cross_entropy
from debias.losses.gradient_reversal import reverse_gradient
from debias.losses.group_dro import GroupDROLoss
from debias.losses.group_means import GroupMeans, group_means
from debias.losses.hsic import (
    HSIC,
    hsic_biased,
    hsic_unbiased,
    linear_kernel,
    median_distance,
    rbf_kernel,
    squared_distances,
)
from debias.losses.irm import irm_penalty, scale_gradients
from debias.losses.label_memory import LabelMemory, flip_probability
from debias.losses.ldam import ldam_losses, ldam_margins
from debias.losses.logit_adjustment import log_priors, logit_adjusted_losses
from debias.losses.mmd import MMDLoss
from debias.losses.pairs import across_biases, cosine_similarities
from debias.losses.sample_memory import RelativeDifficulty, SampleMemory
from debias.losses.soft_groups import SoftGroups, discovered_weights, discovery_loss, soft_groups
from debias.losses.spectral_decoupling import shifted_spectral_decoupling, spectral_decoupling
from debias.losses.supervised_contrastive import soft_positives, supervised_contrastive_losses
from debias.losses.vrex import EnvironmentRisks, environment_risks

__all__ = [
    "HSIC",
    "CORALLoss",
    "EnvironmentRisks",
    "GroupDROLoss",
    "GroupMeans",
    "LabelMemory",
    "MMDLoss",
    "RelativeDifficulty",
    "SampleMemory",
    "SoftGroups",
    "across_biases",
    "balanced_weights",
    "classification_losses",
    "confusion_losses",
    "cosine_similarities",
    "cvar",
    "demographic_parity_gap",
    "discovered_weights",
    "discovery_loss",
    "disentangling_loss",
    "entangling_loss",
    "environment_risks",
    "equal_opportunity_gap",
    "equalized_odds_gap",
    "flac_loss",
    "flip_probability",
    "focal_losses",
    "generalized_cross_entropy",
    "group_means",
    "head_average",
    "head_probability",
    "hsic_biased",
    "hsic_unbiased",
    "irm_penalty",
    "joint_score",
    "ldam_losses",
    "ldam_margins",
    "linear_kernel",
    "log_priors",
    "logit_adjusted_losses",
    "median_distance",
    "rbf_kernel",
    "reverse_gradient",
    "scale_gradients",
    "shifted_spectral_decoupling",
    "soft_groups",
    "soft_positives",
    "spectral_decoupling",
    "squared_distances",
    "supervised_contrastive_losses",
]
