"""The base class of all strategies: the losses of a method, and the players it updates per step."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import Parameter

from debias.types import Batch, Groups, Loss, Outputs, Turn


class Strategy(nn.Module):
    """A mitigation method in plain PyTorch: at each step, players take turns on their objectives.

    A player is a set of parameters with its own optimiser. About half of the methods override only
    :meth:`loss`. The other methods may hold more networks as submodules, and override:

    * :meth:`players`: which parameters each player owns;
    * :meth:`turns`: which players are updated at a step, and on which objectives;
    * :meth:`prepare`: how the method changes the images, in training and in evaluation;
    * :meth:`classify`: how the class is computed, if the model does not predict it directly.

    The first positional arguments of a constructor are facts of the data (``groups``,
    ``frequencies``). Its keyword-only arguments are the options of the method. Their defaults are
    written only there.

    Args:
        groups: the groups of the data, if the method reads them.

    Attributes:
        requires: labels that the training data must have. "bias": a bias label for every image;
            "some bias": some bias labels; "groups": an image in every group; "mask": a foreground
            mask for every image. Inferred groups may replace the bias labels. A strategy that reads
            only inferred groups has the argument ``partition_by_row``.
        single_label: whether the strategy needs one class per sample and refuses several labels.
        smallest_batch: smallest number of samples in a training batch. Options may raise it.
        hard_targets: whether the strategy reads class indices. An augmentation that mixes classes
            is then refused.
        corrects_prior: the training frequency that the strategy corrects for: "class", "group",
            "class given bias", or "" for none. A sampler that balances the same frequency would
            correct it a second time.
        views: number of augmented copies of each batch that the strategy reads in ``batch.views``.
            The batch itself then comes without augmentation. With 0, the batch is augmented.
        replaces: the layers of the model that the strategy replaces in some passes, as words for
            messages; "" if it replaces none. Such a model cannot be compiled, nor work in parts.
        fixed_layers: whether no layer of the model but its head computes in training mode. An
            augmentation that changes layers would then change nothing, and is refused.
        layer: dotted name of the layer inside the model that the strategy reads by
            :mod:`debias.models.layers`; ``None`` if it reads none.
        begins: options that count steps, and the first step of the part of the method that each
            begins. Training warns if the run ends before.
        idle_epochs: number of first epochs in which the loss of the model has no weight. They have
            no validation metrics, so that no rule selects them.

    Raises:
        ValueError: the targets are multi-label and ``single_label`` is set, or are not and
            ``several_labels`` is set.
    """

    requires: ClassVar[tuple[str, ...]] = ()
    single_label: ClassVar[bool] = False
    several_labels: ClassVar[bool] = False
    idle_epochs: ClassVar[int] = 0
    fixed_layers: ClassVar[bool] = False
    smallest_batch: int = 1
    hard_targets: bool = False
    corrects_prior: str = ""
    views: int = 0
    replaces: str = ""
    layer: str | None = None
    begins: Mapping[str, int] = MappingProxyType({})

    def __init__(self, groups: Groups | None = None) -> None:
        super().__init__()
        if self.single_label and groups is not None:
            groups.check_single_label(type(self).__name__)
        if self.several_labels and groups is not None:
            groups.check_several_labels(type(self).__name__)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Objective of the single player on one batch. Override it, or override :meth:`turns`."""
        raise NotImplementedError(f"{type(self).__name__} defines neither loss nor turns")

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """The parameters of each player; every player gets its own optimiser.

        By default the one player "model" owns all parameters of the model and of the strategy.
        """
        return {"model": [*model.parameters(), *self.parameters()]}

    def turns(self, step: int) -> Sequence[Turn]:
        """The turns of this step, in order. A later turn sees the updates of an earlier one.

        A strategy with a single player takes the same number of turns at every step.

        Args:
            step: number of batches that this training has seen before, from 0.
        """
        return (Turn("model", self.loss),)

    def begin(self, model: nn.Module, earlier: nn.Module) -> None:
        """Take note of what training starts from: the model and the strategy of an earlier stage.

        It is called before the first step if the weights of the model were loaded after the
        strategy was built. By default nothing happens: a copy of the model that the strategy holds
        then keeps the weights of the config.

        Args:
            model: the model, with the weights of the earlier stage.
            earlier: the strategy of that stage, after its last step.
        """

    def prepare(self, image: Tensor) -> Tensor:
        """The images that the model gets in validation and prediction: unchanged by default.

        It is called in evaluation mode. In training, objectives get the unchanged images and call
        it themselves if they need it.

        Args:
            image: ``(N, 3, H, W)`` normalised; never changed in place.

        Returns:
            Images of the same shape.
        """
        return image

    def classify(self, model: nn.Module, image: Tensor) -> Outputs:
        """The outputs that validation and prediction use.

        By default these are the model's outputs on the images of :meth:`prepare`.

        Args:
            model: the model that the strategy trains.
            image: ``(N, 3, H, W)`` normalised.

        Returns:
            ``(N, groups.outputs)`` logits and the features of the images.
        """
        outputs: Outputs = model(self.prepare(image))
        return outputs

    @staticmethod
    def model_outputs(groups: Groups) -> int:
        """Number of logits that the model must have: by default one per class or label."""
        return groups.outputs
