"""Bias amplification: the shortcut is made easier, then the model repeats its errors."""

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

    A model that needs only what is easy finds the errors; it goes on with :math:`\mu` of each of
    them.

    1. ``amplification``: the strategy
       :class:`debias.strategies.bias_amplification.BiasAmplification`; the model's errors on the
       training split, without the samples' own vectors, are E.
    2. The same model goes on, on the training split with each of E :math:`\mu` times.

    Source: Li, Liu, Hu, "Bias Amplification Enhances Minority Group Performance", TMLR 2024;
    reference code motivationss/BAM. ``groups.csv`` has 1 for the images in E.

    Args:
        amplification: what the first stage changes of the run's config, such as ``{epochs: 20}``.
        strength: :math:`\lambda` of the first stage.
        upweight: :math:`\mu \ge 2`, how often an error is seen in an epoch.

    Raises:
        ValueError: ``upweight`` is below 2.

    The second stage selects its epoch by the run's rule; the paper's, without group labels, is
    ``select=class_difference`` (ClassDiff).

    Differs from the reference: its T is counted from 0, so that ``--stageOne_T 20`` asks the model
    after 21 epochs.
    """

    amplification: Settings | None = None
    strength: float = 50.0
    upweight: int = 50

    def __post_init__(self) -> None:
        hint = "or no error counts more"
        check_at_least(2, {"recipe.upweight": self.upweight}, hint=hint)
        self.sampler = {"name": "upweighted", "copies": self.upweight - 1}

    def stages(self, run: Run) -> list[Config]:
        """The amplification, and the last stage but for its sampler.

        Raises:
            ValueError: see :func:`debias.recipes.jtt.refuse_readers`.
        """
        refuse_readers(run)
        return [self._amplified(run), run.last_config()]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The last stage sees the errors again and again."""
        first, _ = self.stages(run)
        return [Work(first, sizes), Work(run.last_config({"sampler": self.sampler}), sizes)]

    def train(self, run: Run) -> Trained:
        """Train, find the errors, go on."""
        first = run.train_stage("amplification", self._amplified(run))
        partition = run.infer(errors_of(first), first.examples)
        return run.train_last({"sampler": self.sampler}, partition=partition, start=first)

    def _amplified(self, run: Run) -> Config:
        strategy = {"strategy": {"name": "bias_amplification", "strength": self.strength}}
        return configs.changed(run.stage_config(strategy), self.amplification or {})
