"""What a network needs to become a classifier: one last layer, logits, and mean and std."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from debias.errors import InputError, check_one_of, check_positive, near

#: Values of ``model.pooling``.
POOLINGS = ("avg", "max", "avgmax")


def head_path(network: nn.Module) -> str:
    """Dotted name of the last layer of a timm model, which computes its logits.

    Raises:
        ValueError: the model has several heads, or its last layer is neither linear nor a 1x1
            convolution.
    """
    classifier = getattr(network, "get_classifier", None)
    head = classifier() if callable(classifier) else None
    # only this entry shows the second head of VOLO
    names: Any = getattr(network, "pretrained_cfg", {}).get("classifier")
    several = isinstance(names, (tuple, list))
    if several or not (
        isinstance(head, nn.Linear) or (isinstance(head, nn.Conv2d) and head.kernel_size == (1, 1))
    ):
        heads = " and ".join(names) if several else type(head).__name__
        raise InputError(
            f"{type(network).__name__} does not end in one linear layer (its head: {heads}), so "
            "its logits are not computed from one vector of features; choose another model (not a "
            "distilled one)"
        )
    paths: dict[nn.Module, str] = {module: path for path, module in network.named_modules()}
    return paths[head]


def as_linear(layer: nn.Module) -> nn.Linear:
    """The layer itself, or the linear layer that computes the same as a 1x1 convolution."""
    if isinstance(layer, nn.Linear):
        return layer
    assert isinstance(layer, nn.Conv2d)
    linear = nn.Linear(layer.in_channels, layer.out_channels, bias=layer.bias is not None)
    state = layer.state_dict()
    linear.load_state_dict(state | {"weight": state["weight"].flatten(1)})
    return linear


def append_layer(network: nn.Module, outputs: int) -> str:
    """Put a new linear layer after the last layer of a timm model, and return its dotted name.

    The features of the model are then the outputs of its former last layer.

    Args:
        network: a network of timm, changed in place.
        outputs: number of outputs of the new layer.

    Raises:
        ValueError: the last layer is not linear.
    """
    path = head_path(network)
    last = network.get_submodule(path)
    if not isinstance(last, nn.Linear):
        raise InputError(
            f"model.embedding=true needs a network that ends in a linear layer; got "
            f"{type(last).__name__} in {type(network).__name__}: leave model.embedding out"
        )
    parent, _, name = path.rpartition(".")
    layers = nn.Sequential(last, nn.Linear(last.out_features, outputs))
    setattr(network.get_submodule(parent), name, layers)
    return f"{path}.1"


def set_pooling(network: nn.Module, pooling: str) -> None:
    """Let a network of timm pool its last maps or tokens in another way; its weights stay.

    Args:
        network: a network of timm, changed in place.
        pooling: one of :data:`POOLINGS`, as in timm's ``global_pool``.

    Raises:
        ValueError: ``pooling`` is another one, or the network cannot pool so.
    """
    check_one_of(POOLINGS, {"model.pooling": pooling})
    reset: Any = getattr(network, "reset_classifier", None)
    state = network.state_dict()
    try:
        reset(getattr(network, "num_classes", None), global_pool=pooling)
        network.load_state_dict(state)
    except (TypeError, AssertionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{type(network).__name__} cannot change its pooling to model.pooling={pooling}: leave "
            "model.pooling out"
        ) from error


def check_linear(network: nn.Module, path: str) -> None:
    """Check that a network has an ``nn.Linear`` of this dotted name.

    Raises:
        ValueError: it has none; the message lists those it has.
    """
    linear = [
        name for name, each in network.named_modules() if isinstance(each, nn.Linear) and name
    ]
    if path not in linear:
        raise InputError(
            f"head must name the last layer of {type(network).__name__}, an nn.Linear; got "
            f"{path!r}: {near(path, linear) if linear else 'it has no nn.Linear'}"
        )


def linear_head(model: nn.Module, *, of: str) -> nn.Linear:
    """The last layer of a model, for code that reads its weights or writes new ones.

    Args:
        model: a :class:`debias.models.classifier.Classifier`, or another model with a ``head``.
        of: what needs it, for the message.

    Raises:
        ValueError: the model has no ``nn.Linear`` called ``head``.
    """
    head = getattr(model, "head", None)
    if not isinstance(head, nn.Linear):
        raise InputError(
            f"{type(model).__name__} has no nn.Linear called head, which {of} needs: use a "
            "Classifier without model.projection"
        )
    return head


def check_normalisation(
    network: nn.Module, mean: Sequence[float] | None, std: Sequence[float] | None
) -> None:
    """Check the mean and the standard deviation that the user gives for a network.

    Raises:
        ValueError: they are not three numbers each, only one of them is given, or a standard
            deviation is not positive. Or none is given, and the network is a Hugging Face model.
    """
    name = type(network).__name__
    if mean is None and std is None:
        if hasattr(getattr(network, "config", None), "model_type"):
            raise InputError(
                f"{name} does not say how its images are normalised: give mean and std, which are "
                "image_mean and image_std of the Hugging Face image processor"
            )
        return
    for label, value in (("mean", mean), ("std", std)):
        if value is None or len(value) != 3:
            given = value if value is None else list(value)
            raise InputError(
                f"{label} must be three numbers, one per channel; got {label}={given}: give both "
                "mean and std, or none"
            )
    check_positive({f"std[{channel}]": value for channel, value in enumerate(std or ())}, of=name)


def logits_of(output: object) -> Tensor:
    """The logits that a network returns: a tensor, or the attribute ``logits`` of its output.

    Raises:
        ValueError: the output is neither.
    """
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise InputError(
            "a network must return logits, or an object with logits; got a "
            f"{type(output).__name__}: wrap it in a module that returns the logits"
        )
    return logits
