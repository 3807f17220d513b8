"""SagNet: a content path on random styles, and a style path that the early layers must fool."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn.modules.batchnorm import _BatchNorm

from debias import processes
from debias.errors import InputError, check_at_least, check_positive
from debias.models import layers
from debias.models.copies import layers_after
from debias.strategies.objectives import task_loss, weighted
from debias.strategies.strategy import Strategy
from debias.types import Batch, Groups, Loss, Turn

#: Added to variances, and to the probabilities of the adversary.
EPS = 1e-5


def randomise_style(maps: Tensor, partner: Tensor, own: Tensor) -> Tensor:
    r"""Mix the mean and variance of each channel with those of a partner. Content remains.

    .. math:: \tilde z = \frac{z - \mu}{\sqrt{v + \epsilon}} \sqrt{\bar v + \epsilon} + \bar\mu,
              \quad \bar\mu = \alpha \mu + (1 - \alpha) \mu_p, \quad
              \bar v = \alpha v + (1 - \alpha) v_p

    All moments have a gradient.

    Args:
        maps: ``(N, C, H, W)`` float z.
        partner: ``(N,)`` int64 position of each sample's partner in the batch.
        own: ``(N,)`` float :math:`\alpha` in [0, 1].
    """
    variance, mean = torch.var_mean(maps, dim=(2, 3), keepdim=True)
    share = own.to(maps.dtype)[:, None, None, None]
    mixed = torch.lerp(variance[partner], variance, share)
    content = (maps - mean) / (variance + EPS).sqrt()
    return content * (mixed + EPS).sqrt() + torch.lerp(mean[partner], mean, share)


def randomise_content(maps: Tensor, partner: Tensor) -> Tensor:
    r"""Replace the content of each sample by that of a partner. Its mean and variance remain.

    .. math:: \tilde z = \mathrm{sg}\left[\frac{z_p - \mu_p}{\sqrt{v_p + \epsilon}}\right]
              \sqrt{v + \epsilon} + \mu

    Args:
        maps: ``(N, C, H, W)`` float z.
        partner: ``(N,)`` int64 position of each sample's partner in the batch.
    """
    variance, mean = torch.var_mean(maps, dim=(2, 3), keepdim=True)
    deviation = (variance + EPS).sqrt()
    content = ((maps - mean) / deviation).detach()
    return content[partner] * deviation + mean


class SagNet(Strategy):
    r"""Train on random styles, and make early layers fool a network that sees only styles.

    z is the activation after ``layer``, g a copy of the later layers with a head of its own, and K
    the number of classes. At each step, in this order:

    1. *style* is trained on :math:`\mathrm{CE}(g(C(\mathrm{sg}[z])), y)`, where C gives each image
       the content of another one, by :func:`randomise_content`;
    2. *early* is trained on :math:`-\frac{w}{K} \sum_k \log(p_k + 10^{-5})`, with p the softmax of
       :math:`g(C(z))` through the updated g. *early* owns the scales and shifts of the
       normalisation layers up to z. The norm of its gradient is clipped;
    3. *model* (all its parameters) is trained on the task's loss, with the styles of z mixed among
       images, by :func:`randomise_style`.

    Evaluation uses the model alone, on images with their own style. Needs no bias labels. Styles
    are properties such as colour and contrast; a shortcut in a background object remains.

    Source: Nam et al., "Reducing Domain Gap by Reducing Style Bias", CVPR 2021; reference code
    hyeonseobnam/sagnet.

    Args:
        groups: the groups of the data; targets may be single- or multi-label.
        model: a :class:`debias.models.classifier.Classifier`.
        image: ``(1, 3, H, W)`` float, an example that gives the shapes inside the model.
        layer: dotted name of the layer that gives z, as in timm. The default is that of a ResNet:
            the input of its third stage.
        adversarial_weight: w, at least 0.
        adversarial_clip: largest gradient norm of *early*, positive.

    Raises:
        ValueError: ``adversarial_weight`` is negative, ``adversarial_clip`` is not positive, the
            layer is unknown or gives no maps, no normalisation layer comes before it, or the later
            layers cannot be copied.

    Differs from the reference: each turn is a forward pass of its own, so *early* sees the updated
    g, and each turn draws its own partners. Batch normalisation of the early layers then updates
    its statistics three times per step. Several labels are confused label by label. With several
    processes, the gradient of *early* is averaged over them before it is clipped, and partners are
    within a process.
    """

    smallest_batch = 2

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        image: Tensor,
        *,
        layer: str = "layer2",
        adversarial_weight: float = 0.1,
        adversarial_clip: float = 0.1,
    ) -> None:
        super().__init__(groups)
        check_at_least(0, {"adversarial_weight": adversarial_weight}, of="SagNet")
        check_positive({"adversarial_clip": adversarial_clip}, of="SagNet")
        shape = layers.layer_shape(model, layer, image)
        if len(shape) != 3 or shape[1] * shape[2] < 2:
            raise InputError(
                f"SagNet mixes styles of maps; strategy.layer={layer} gives {shape}: name a stage "
                "of a convolutional network"
            )
        self.layer: str = layer
        self.multi_label = groups.multi_label
        self.adversarial_weight, self.adversarial_clip = adversarial_weight, adversarial_clip
        self.early = _scales_and_shifts(model, layers.early_parameters(model, layer, image), layer)
        head: nn.Module = nn.Linear(int(model.feature_size), groups.outputs)  # type: ignore[arg-type]
        self.network = nn.Sequential(layers_after(model, layer, image), head)

    def players(self, model: nn.Module) -> dict[str, list[Parameter]]:
        """The style network, the scales and shifts of early layers, and the model."""
        inner = layers.unwrapped(model)
        return {
            "style": list(self.network.parameters()),
            "early": [inner.get_parameter(name) for name in self.early],
            "model": list(model.parameters()),
        }

    def turns(self, step: int) -> Sequence[Turn]:
        """Train the style network, make early layers fool it, then train the model."""
        return (
            Turn("style", self.learn_style),
            Turn("early", self.fool),
            Turn("model", self.learn_content),
        )

    def learn_style(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss of the style network, on activations without gradient."""
        with torch.no_grad():
            maps = layers.read_until(model, self.layer, batch.image)
            mixed = randomise_content(maps, _partner(maps))
        loss = task_loss(self.network(mixed), batch)
        return Loss(loss, {"style": loss.detach()})

    def fool(self, model: nn.Module, batch: Batch) -> Loss:
        """Loss of the early layers: small if the style network's predictions are uniform.

        Its gradient is computed here, so that its norm can be clipped for this player alone.
        """
        maps = layers.read_until(model, self.layer, batch.image)
        logits = self.network(randomise_content(maps, _partner(maps)))
        losses = smoothed_confusion(logits, multi_label=self.multi_label)
        loss = self.adversarial_weight * weighted(losses, batch).mean()
        inner = layers.unwrapped(model)
        owned = [inner.get_parameter(name) for name in self.early]
        # autocast would round the gradients of a float32 loss
        with torch.autocast(loss.device.type, enabled=False):
            slopes = [processes.mean(slope) for slope in torch.autograd.grad(loss, owned)]
        norm = torch.stack([slope.square().sum() for slope in slopes]).sum().sqrt()
        factor = (self.adversarial_clip / (norm + 1e-6)).clamp(max=1)
        # a function of the parameters with the clipped gradient, and with the value of the loss
        pairs = zip(owned, slopes, strict=True)
        change = sum((factor * slope * (each - each.detach())).sum() for each, slope in pairs)
        return Loss(loss.detach() + change, {"fool": loss.detach()})

    def learn_content(self, model: nn.Module, batch: Batch) -> Loss:
        """Task loss of the model, whose activations have mixed styles."""
        change = layers.LayerChange(model, self.layer, _with_random_style)
        try:
            logits = model(batch.image).logits
        finally:
            change.remove()
        loss = task_loss(logits, batch)
        return Loss(loss, {"content": loss.detach()})


def smoothed_confusion(logits: Tensor, *, multi_label: bool) -> Tensor:
    r"""Mean over classes of :math:`-\log(p_k + 10^{-5})` per sample, least for a uniform p.

    Args:
        logits: ``(N, K)`` float.
        multi_label: whether each logit is a label of its own, with the two classes absent and
            present.

    Returns:
        ``(N,)``.

    Example:
        >>> smoothed_confusion(torch.zeros(1, 4), multi_label=False).exp().round().tolist()
        [4.0]
    """
    if multi_label:
        shares = torch.stack([logits.sigmoid(), (-logits).sigmoid()])
        return -(shares + EPS).log().mean(dim=(0, 2))
    return -(logits.softmax(dim=1) + EPS).log().mean(dim=1)


def _with_random_style(inputs: tuple[object, ...], maps: Tensor) -> Tensor:
    partner = _partner(maps)
    return randomise_style(maps, partner, torch.rand(len(maps)).to(maps.device))


def _partner(maps: Tensor) -> Tensor:
    return torch.randperm(len(maps), device=maps.device)


def _scales_and_shifts(model: nn.Module, early: Sequence[str], layer: str) -> tuple[str, ...]:
    """The names of early parameters that are scales and shifts of normalisation layers."""
    kinds = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)
    modules = [name for name, each in model.named_modules() if isinstance(each, kinds)]
    found = tuple(name for name in early if name.rpartition(".")[0] in modules)
    if not found:
        raise InputError(
            f"SagNet trains scales and shifts of normalisation layers, and none comes before "
            f"strategy.layer={layer}: name a later layer, or another network"
        )
    return found
