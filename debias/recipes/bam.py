"""BAM (bias amplification): amplify the shortcut, then continue training with errors repeated."""

from dataclasses import dataclass

from debias import config as configs
from debias.config import Config
from debias.errors import check_at_least
from debias.merging import Settings
from debias.recipes.jtt import errors_of, refuse_readers
from debias.runs.run import Recipe, Run, Trained
from debias.runs.work import Sizes, Work


@dataclass(kw_only=True)
class BAM(Recipe):
    r"""Amplify the shortcut in a first stage, then continue with its errors repeated.

    1. ``amplification``: the strategy
       :class:`debias.strategies.bias_amplification.BiasAmplification` trains a model, with a
       trainable vector per sample added to the logits. E is the set of its errors on the training
       split, without these vectors.
    2. The same model is trained further. An epoch visits each image of E :math:`\mu` times, and
       every other training image once.

    The second stage selects its epoch by the run's rule. The rule of the paper, which needs no
    group labels, is ``select=class_difference`` (ClassDiff).

    Source: Li, Liu, Hu, "Bias Amplification Enhances Minority Group Performance", TMLR 2024;
    reference code motivationss/BAM. ``groups.csv`` has 1 for the images in E.

    Args:
        amplification: changes to the run's config for the first stage, such as ``{epochs: 20}``.
        strength: :math:`\lambda \ge 0`, factor on the vectors of the first stage.
        upweight: :math:`\mu \ge 2`, how often an epoch visits each error.

    Raises:
        ValueError: ``upweight`` is below 2.

    Differs from the reference: epochs are counted from 1. The reference counts T from 0, so that
    ``--stageOne_T 20`` uses the model after 21 epochs.
    """

    continues = True

    amplification: Settings | None = None
    strength: float = 50.0
    upweight: int = 50

    def __post_init__(self) -> None:
        hint = "1 would repeat no error"
        check_at_least(2, {"recipe.upweight": self.upweight}, hint=hint)
        self.sampler = {"name": "upweighted", "copies": self.upweight - 1}

    def stages(self, run: Run) -> list[Config]:
        """Configs of the amplification and of the last stage, the latter without its sampler.

        Raises:
            ValueError: see :func:`debias.recipes.jtt.refuse_readers`.
        """
        refuse_readers(run)
        return [self._amplified(run), run.last_config()]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of both stages. The last stage uses the sampler that repeats errors."""
        first, _ = self.stages(run)
        return [Work(first, sizes), Work(run.last_config({"sampler": self.sampler}), sizes)]

    def train(self, run: Run) -> Trained:
        """Train the first stage, find its errors, and train its model further."""
        first = run.train_stage("amplification", self._amplified(run))
        partition = run.infer(errors_of(first), first.examples)
        return run.train_last({"sampler": self.sampler}, partition=partition, start=first)

    def _amplified(self, run: Run) -> Config:
        strategy = {"strategy": {"name": "bias_amplification", "strength": self.strength}}
        return configs.changed(run.stage_config(strategy), self.amplification or {})
