"""Fits of last layers on fixed features: many linear heads at once, and DFR. No Lightning."""

from debias.heads.descent import fit_full_batch, fit_minibatches
from debias.heads.linear import FittedHeads, Heads, Rows, fresh_heads, repeated
from debias.heads.refits import focal_heads, resampled_heads, reweighted_heads, selected_heads
from debias.heads.sparse import SparseHead, sparse_head
from debias.heads.steps import Descent

__all__ = [
    "Descent",
    "FittedHeads",
    "Heads",
    "Rows",
    "SparseHead",
    "fit_full_batch",
    "fit_minibatches",
    "focal_heads",
    "fresh_heads",
    "repeated",
    "resampled_heads",
    "reweighted_heads",
    "selected_heads",
    "sparse_head",
]
