"""The loop: one LightningModule, and the verbs fit and predict. It names no strategy or data."""

from debias.training.checkpoints import newest_checkpoint
from debias.training.fit import fit, seed_all, trainer
from debias.training.module import DebiasModule
from debias.training.pictures import PreparedPictures, prepared_pictures
from debias.training.precision import choose_precision
from debias.training.prediction import Predicted, extract, joined, predict
from debias.training.recorder import Recorder, save_weights

__all__ = [
    "DebiasModule",
    "Predicted",
    "PreparedPictures",
    "Recorder",
    "choose_precision",
    "extract",
    "fit",
    "joined",
    "newest_checkpoint",
    "predict",
    "prepared_pictures",
    "save_weights",
    "seed_all",
    "trainer",
]
