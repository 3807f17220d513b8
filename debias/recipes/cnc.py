"""Correct-n-Contrast: contrastive training with the predictions of an ERM model as bias labels."""

from dataclasses import dataclass

from debias.config import Config
from debias.merging import Settings
from debias.runs.run import Recipe, Run, Trained


@dataclass(kw_only=True)
class CnC(Recipe):
    """Train ERM, then use its predicted classes as bias labels for a contrastive strategy.

    1. ``prediction``: plain ERM, strongly regularised. Its predicted classes become the inferred
       bias values.
    2. The run's own strategy is trained with them. Use
       :class:`debias.strategies.correct_n_contrast.CorrectNContrast`, preferably with
       group-balanced batches (``sampler.name=group_balanced``).

    Source: Zhang et al., "Correct-N-Contrast: A Contrastive Approach for Improving Robustness to
    Spurious Correlations", ICML 2022; reference code HazyResearch/correct-n-contrast.
    ``groups.csv`` has the predicted classes.

    Args:
        prediction: changes to the run's config for the first stage.

    Differs from the reference: the inferred values are predictions, as in the paper's algorithm.
    The code clusters representations by default. See
    :class:`debias.strategies.correct_n_contrast.CorrectNContrast`.
    """

    infers = ("train",)

    prediction: Settings | None = None

    def stages(self, run: Run) -> list[Config]:
        """Configs of the first stage, and of the last stage as plain ERM (no groups exist yet)."""
        return [run.stage_config(self.prediction), run.stage_config()]

    def train(self, run: Run) -> Trained:
        """Train the ERM model, predict the training split, and train the last stage."""
        first = run.train_stage("prediction", run.stage_config(self.prediction))
        predictions = first.predictions("train")
        inferred = first.everywhere(predictions.index, predictions.logits.argmax(dim=1))
        return run.train_last(partition=run.infer(inferred, first.examples))
