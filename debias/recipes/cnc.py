"""Correct-n-Contrast: an earlier model's predictions stand for the bias; a contrast undoes it."""

from dataclasses import dataclass

from debias.config import Config
from debias.merging import Settings
from debias.runs.run import Recipe, Run, Trained


@dataclass(kw_only=True)
class CnC(Recipe):
    """Train ERM, then use its predicted classes as bias labels for a contrastive strategy.

    1. ``prediction``: plain ERM, strongly regularised, whose predicted class is the inferred value.
    2. The run's own strategy is trained on it:
       :class:`debias.strategies.correct_n_contrast.CorrectNContrast`, best on draws in which groups
       are balanced (``sampler.name=group_balanced``).

    Source: Zhang et al., "Correct-N-Contrast: A Contrastive Approach for Improving Robustness to
    Spurious Correlations", ICML 2022; reference code HazyResearch/correct-n-contrast.
    ``groups.csv`` has the predicted class.

    Args:
        prediction: what the first stage changes of the run's config.

    Differs from the reference: its default clusters representations; here predictions are taken, as
    in the paper's algorithm. See :class:`debias.strategies.correct_n_contrast.CorrectNContrast`.
    """

    infers = ("train",)

    prediction: Settings | None = None

    def stages(self, run: Run) -> list[Config]:
        """The first model, and the last stage but for what reads its predictions."""
        return [run.stage_config(self.prediction), run.stage_config()]

    def train(self, run: Run) -> Trained:
        """Train, predict, train again."""
        first = run.train_stage("prediction", run.stage_config(self.prediction))
        found = first.predictions("train")
        inferred = first.everywhere(found.index, found.logits.argmax(dim=1))
        return run.train_last(partition=run.infer(inferred, first.examples))
