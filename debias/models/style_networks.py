"""Networks of style transfer by AdaIN: a VGG-19 encoder and its decoder, from given weights."""

from pathlib import Path

from torch import Tensor, nn

from debias.errors import InputError, shown
from debias.models.weights import read_state_dict

#: Channels of the 3 x 3 convolutions of VGG-19 up to relu4_1. "M" is a pooling.
ENCODER = (64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512)
#: Channels of those of the decoder. "U" doubles height and width.
DECODER = (256, "U", 256, 256, 256, 128, "U", 128, 64, "U", 64, 3)
#: Factor by which the encoder reduces height and width.
REDUCTION = 8


def style_encoder() -> nn.Sequential:
    """VGG-19 from pixels in [0, 1] to relu4_1, with a first layer that normalises the pixels."""
    return nn.Sequential(nn.Conv2d(3, 3, 1), *_layers(3, ENCODER))


def style_decoder() -> nn.Sequential:
    """From relu4_1 back to pixels: the mirrored encoder, without an activation at the end."""
    return nn.Sequential(*_layers(512, DECODER)[:-1])


def _layers(channels: int, plan: tuple[int | str, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for step in plan:
        if isinstance(step, int):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, step, 3), nn.ReLU()]
            channels = step
        elif step == "M":
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        else:
            layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
    return layers


def load_style_network(network: nn.Sequential, path: str, *, part: str) -> nn.Sequential:
    """Load weights into an encoder or decoder, freeze it, and return it. No code in the file runs.

    Args:
        network: of :func:`style_encoder` or :func:`style_decoder`; it is changed in place.
        path: a ``.safetensors``, ``.pt`` or ``.pth`` state dict, whose keys are those of
            ``vgg_normalised.pth`` or ``decoder.pth``. Layers after relu4_1 have no effect.
        part: "encoder" or "decoder", for messages.

    Raises:
        ValueError: there is no such file, it is damaged, or it does not fit.
    """
    if not Path(path).is_file():
        raise InputError(
            f"augment.{part} must be a file of weights; got augment.{part}={path or 'nothing'}. "
            f"Style transfer needs the weights of an AdaIN {part}, such as "
            f"{'vgg_normalised.pth' if part == 'encoder' else 'decoder.pth'}"
        )
    own, state = network.state_dict(), read_state_dict(Path(path))
    wrong = [key for key in own if key not in state or state[key].shape != own[key].shape]
    if wrong:
        raise InputError(
            f"{path} does not fit the {part} of style transfer: {shown(wrong)} are absent or have "
            f"another shape; give the AdaIN {part} for VGG-19 up to relu4_1"
        )
    network.load_state_dict({key: state[key] for key in own})
    return network.requires_grad_(False).eval()


def adain(content: Tensor, style: Tensor, *, floor: float = 1e-5) -> Tensor:
    r"""Give feature maps the mean and the deviation of others, for each channel (AdaIN).

    .. math:: \frac{c - \mu_c}{\sigma_c}\, \sigma_s + \mu_s

    Source: Huang & Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance
    Normalization", ICCV 2017.

    Args:
        content: c, ``(N, C, h, w)`` float.
        style: s, ``(N, C, h', w')`` float.
        floor: added to the variances, whose denominator is the number of places less 1.
    """
    means, deviations = [], []
    for maps in (content, style):
        means.append(maps.mean(dim=(2, 3), keepdim=True))
        deviations.append((maps.var(dim=(2, 3), keepdim=True) + floor).sqrt())
    return (content - means[0]) / deviations[0] * deviations[1] + means[1]
