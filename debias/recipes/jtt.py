"""Just Train Twice (JTT): train, find the training errors, and train again with them repeated."""

from dataclasses import dataclass

from torch import Tensor

from debias import components
from debias.config import Config
from debias.errors import InputError, check_at_least
from debias.group_inference.errors import error_set
from debias.merging import Settings, named
from debias.runs.run import Recipe, Run, Stage, Trained
from debias.runs.work import Sizes, Work


@dataclass(kw_only=True)
class JTT(Recipe):
    r"""Train ERM, then train again with its training errors repeated.

    1. ``identification``: plain ERM for a few epochs, strongly regularised. E is the set of its
       errors on the training split.
    2. A new model is trained on the training split and :math:`\lambda` additional copies of E.

    Source: Liu et al., "Just Train Twice: Improving Group Robustness without Training Group
    Information", ICML 2021; reference code anniesch/jtt. ``groups.csv`` has 1 for the images in E.

    Args:
        identification: changes to the run's config for the first stage, such as ``{epochs: 60}``.
            The method is most sensitive to this number of epochs.
        upweight: :math:`\lambda \ge 1`, number of additional copies of each error.

    Raises:
        ValueError: ``upweight`` is below 1.

    Differs from the reference: E is predicted in evaluation mode, after the last epoch of the
    stage. The code logs predictions during the next epoch, since it counts T from 0. ``upweight``
    is that of the code: an epoch visits each error :math:`\lambda + 1` times.
    """

    identification: Settings | None = None
    upweight: int = 100

    def __post_init__(self) -> None:
        check_at_least(1, {"recipe.upweight": self.upweight})
        self.sampler = {"name": "upweighted", "copies": self.upweight}

    def stages(self, run: Run) -> list[Config]:
        """Configs of the identification and of the last stage, the latter without its sampler.

        Raises:
            ValueError: see :func:`refuse_readers`.
        """
        refuse_readers(run)
        return [run.stage_config(self.identification), run.last_config()]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of both stages. The last stage uses the sampler that repeats errors."""
        first, _ = self.stages(run)
        return [Work(first, sizes), Work(run.last_config({"sampler": self.sampler}), sizes)]

    def train(self, run: Run) -> Trained:
        """Train the first stage, find its errors, and train a new model with them repeated."""
        first = run.train_stage("identification", run.stage_config(self.identification))
        partition = run.infer(errors_of(first), first.examples)
        return run.train_last({"sampler": self.sampler}, partition=partition)


def refuse_readers(run: Run) -> None:
    """Raise an error if a component of the run would read the error set as bias labels.

    Raises:
        ValueError: the run has its own sampler, or its strategy or augmentation needs bias labels
            or groups.
    """
    run.refuse_own("sampler")
    config = run.config
    if {"bias", "some bias", "groups"} & set(components.requirements(config)):
        raise InputError(
            f"recipe.name={config.recipe['name']} infers an error set, not group labels. Its "
            "strategy and augmentation must need no group labels; got "
            f"strategy.name={config.strategy['name']} and {named('augment', config.augment)}. "
            "Name others"
        )


def errors_of(stage: Stage) -> Tensor:
    """Training errors of a stage: ``(len(examples),)`` int64. A misclassified training image has 1,
    a correct one 0, and an image of another split -1.
    """
    predictions = stage.predictions("train")
    return stage.everywhere(predictions.index, error_set(predictions.logits, predictions.target))
