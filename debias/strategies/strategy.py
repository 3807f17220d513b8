"""What a strategy is: which losses, on which outputs, and who moves when."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import Parameter

from debias.types import Batch, Groups, Loss, Outputs, Turn


class Strategy(nn.Module):
    """A mitigation method: turns that players take on objectives. Plain PyTorch, no trainer.

    More than half of the methods override only :meth:`loss`. A method with further networks holds
    them as submodules. It says in :meth:`players` who owns which parameters (one optimiser each)
    and in :meth:`turns` who moves at a step. A method that trains on changed pictures, and needs
    them in evaluation too, says in :meth:`prepare` how they change. A method whose model does not
    predict the class says in :meth:`classify` how the class is read from it. The first positional
    arguments of a constructor are facts of the data (``groups``, ``frequencies``). Its keyword-only
    arguments are its options; their defaults stand there and nowhere else.

    Args:
        groups: the groups of the data, where the method reads them.

    Attributes:
        requires: what the training data must have: a "bias" label for every image, or "some bias"
            labels, an image in all "groups", a foreground "mask" for every image. A partition that
            somebody inferred may stand in for the bias labels. A strategy that reads nothing else
            asks for the fact ``partition_by_row``.
        single_label: whether it needs one class per sample, and refuses several labels.
        smallest_batch: samples that every training batch must have.
        hard_targets: whether it reads class indices, so that no augmentation may make probabilities
            of them.
        corrects_prior: for the frequencies of what in the training data it corrects: "class",
            "group", or "class given bias". Batches are to have them as the data has them: what
            balances them as well is corrected twice.

    Raises:
        ValueError: multi-label targets, where ``single_label`` is set.
    """

    requires: ClassVar[tuple[str, ...]] = ()
    single_label: ClassVar[bool] = False
    smallest_batch: ClassVar[int] = 1
    hard_targets: bool = False
    corrects_prior: str = ""

    def __init__(self, groups: Groups | None = None) -> None:
        super().__init__()
        if self.single_label and groups is not None:
            groups.check_single_label(type(self).__name__)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the single player on one batch."""
        raise NotImplementedError(f"{type(self).__name__} defines neither loss nor turns")

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """Who owns which parameters, one optimiser each: by default one player owns all."""
        return {"model": [*model.parameters(), *self.parameters()]}

    def turns(self, step: int) -> Sequence[Turn]:
        """Who moves at this step, in order; a later turn sees what an earlier one changed.

        Args:
            step: batches seen so far in this training, from 0.
        """
        return (Turn("model", self.loss),)

    def prepare(self, image: Tensor) -> Tensor:
        """What the model is given in validation and prediction: by default the very images.

        Called in evaluation mode. Objectives are handed images as they are, and call it where they
        want it.

        Args:
            image: ``(N, 3, H, W)`` normalised; never changed in place.

        Returns:
            Images of the same shape.
        """
        return image

    def classify(self, model: nn.Module, image: Tensor) -> Outputs:
        """What validation and prediction read: by default the model's outputs of prepared images.

        Args:
            model: what the strategy trains.
            image: ``(N, 3, H, W)`` normalised.

        Returns:
            ``(N, groups.outputs)`` logits and the features of the images.
        """
        outputs: Outputs = model(self.prepare(image))
        return outputs

    @staticmethod
    def model_outputs(groups: Groups) -> int:
        """How many logits the model must have: by default one per class or label."""
        return groups.outputs
