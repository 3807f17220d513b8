"""Just Train Twice: train, find the errors, train again with these repeated."""

from dataclasses import dataclass

from torch import Tensor

from debias import components
from debias.config import Config
from debias.errors import InputError, check_at_least
from debias.group_inference.errors import error_set
from debias.merging import Settings
from debias.runs.run import Recipe, Run, Stage, Trained
from debias.runs.work import Sizes, Work


@dataclass(kw_only=True)
class JTT(Recipe):
    r"""Train ERM, then train again with its training errors repeated.

    ERM finds the training images it gets wrong; a new model sees each of these :math:`\lambda`
    times more.

    1. ``identification``: plain ERM for a few epochs, strongly regularised; its errors on the
       training split are E.
    2. A new model is trained on the training split with :math:`\lambda` further copies of E.

    Source: Liu et al., "Just Train Twice: Improving Group Robustness without Training Group
    Information", ICML 2021; reference code anniesch/jtt. ``groups.csv`` has 1 for the images in E.

    Args:
        identification: what the first stage changes of the run's config, such as ``{epochs: 60}``.
            It is the number of epochs to which the method is most sensitive.
        upweight: :math:`\lambda \ge 1`, copies of an error beside the original.

    Raises:
        ValueError: ``upweight`` is below 1.

    Differs from the reference: predictions of E are made in evaluation mode, after the last epoch
    of the stage; the code logs them during the next one, its T being counted from 0. ``upweight``
    counts as the code does: an error is seen :math:`\lambda + 1` times an epoch.
    """

    identification: Settings | None = None
    upweight: int = 100

    def __post_init__(self) -> None:
        check_at_least(1, {"recipe.upweight": self.upweight})
        self.sampler = {"name": "upweighted", "copies": self.upweight}

    def stages(self, run: Run) -> list[Config]:
        """The identification, and the last stage but for its sampler.

        Raises:
            ValueError: see :func:`refuse_readers`.
        """
        refuse_readers(run)
        return [run.stage_config(self.identification), run.last_config()]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The last stage sees the errors again and again."""
        first, _ = self.stages(run)
        return [Work(first, sizes), Work(run.last_config({"sampler": self.sampler}), sizes)]

    def train(self, run: Run) -> Trained:
        """Train twice."""
        first = run.train_stage("identification", run.stage_config(self.identification))
        partition = run.infer(errors_of(first), first.examples)
        return run.train_last({"sampler": self.sampler}, partition=partition)


def refuse_readers(run: Run) -> None:
    """Refuse what would read an error set as group labels, and a sampler beside the recipe's.

    Raises:
        ValueError: the strategy, sampler or augmentation of the run.
    """
    run.refuse_own("sampler")
    config = run.config
    if {"bias", "some bias", "groups"} & set(components.requirements(config)):
        raise InputError(
            f"recipe.name={config.recipe['name']} trains on an error set, which is no group label, "
            f"and strategy.name={config.strategy['name']} or augment.name={config.augment['name']} "
            "needs these: name one that needs none"
        )


def errors_of(stage: Stage) -> Tensor:
    """``(len(examples),)`` int64: 1 for a training image that is wrong, 0 if right, -1 outside."""
    found = stage.predictions("train")
    return stage.everywhere(found.index, error_set(found.logits, found.target))
