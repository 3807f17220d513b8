"""The order of stages: plain functions over the verbs fit and predict."""

from debias.recipes.evaluation import (
    load_weights,
    measure,
    predict_split,
    predict_splits,
    with_labels,
    write_predictions,
)
from debias.recipes.single import single

__all__ = ["load_weights", "measure", "predict_split", "predict_splits", "single", "with_labels", "write_predictions"]
