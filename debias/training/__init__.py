"""The loop: one LightningModule, and the verbs fit and predict. Names no method and no data set."""

from debias.training.fit import fit, seed_all, trainer
from debias.training.module import DebiasModule
from debias.training.precision import choose_precision
from debias.training.prediction import Predicted, joined, predict
from debias.training.recorder import Recorder, save_weights

__all__ = [
    "DebiasModule",
    "Predicted",
    "Recorder",
    "choose_precision",
    "fit",
    "joined",
    "predict",
    "save_weights",
    "seed_all",
    "trainer",
]
