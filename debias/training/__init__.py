"""The loop: one LightningModule, and the verbs fit and predict. Names no strategy and no data set."""

from debias.training.checkpoints import newest_checkpoint
from debias.training.dfr import SparseHead, sparse_head
from debias.training.fit import fit, seed_all, trainer
from debias.training.heads import FittedHeads, Heads, Rows, fresh_heads, repeated
from debias.training.heads_descent import fit_full_batch, fit_minibatches
from debias.training.heads_refits import focal_heads, resampled_heads, reweighted_heads, selected_heads
from debias.training.heads_steps import Descent
from debias.training.module import DebiasModule
from debias.training.pictures import PreparedPictures, prepared_pictures
from debias.training.precision import choose_precision
from debias.training.prediction import Extracted, Predicted, extract, joined, predict
from debias.training.recorder import Recorder, save_weights

__all__ = [
    "DebiasModule",
    "Descent",
    "Extracted",
    "FittedHeads",
    "Heads",
    "Predicted",
    "PreparedPictures",
    "Recorder",
    "Rows",
    "SparseHead",
    "choose_precision",
    "extract",
    "fit",
    "fit_full_batch",
    "fit_minibatches",
    "focal_heads",
    "fresh_heads",
    "joined",
    "newest_checkpoint",
    "predict",
    "prepared_pictures",
    "repeated",
    "resampled_heads",
    "reweighted_heads",
    "save_weights",
    "seed_all",
    "selected_heads",
    "sparse_head",
    "trainer",
]
