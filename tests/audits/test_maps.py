"""Checks of maps, on networks made by hand whose maps are known."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from debias.audits.maps.deletion import belief_area, blurred, deletion_insertion
from debias.audits.maps.grids import (
    cell_shares,
    difull_map,
    dipart_map,
    drawn_grids,
    grid_image,
)
from debias.audits.maps.information import (
    aggregated,
    information_curve,
    random_pixels,
    revealed_picture,
    webp_size,
)
from debias.audits.maps.randomisation import instability, randomised, rank_correlations
from debias.audits.maps.swaps import Swap, counterfactual
from debias.models.attribution import grad_cam, layer_gradient
from tests.fakes import BackboneNetwork


class CornerReader(BackboneNetwork):
    """Class 1 if the top left quarter is bright; its last map is the picture, pooled by place."""

    def __init__(self, side: int = 8) -> None:
        backbone = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten())
        super().__init__(backbone, nn.Linear(2 * side * side, 2))
        with torch.no_grad():
            self.backbone[0].weight.copy_(
                torch.tensor([[1.0, 1, 1], [-1, -1, -1]])[..., None, None]
            )
            self.backbone[0].bias.zero_()
            weight = torch.zeros(2, 2, side, side)
            weight[1, 0, : side // 2, : side // 2] = 1
            weight[0, 1, : side // 2, : side // 2] = 1
            self.head.weight.copy_(weight.flatten(1))
            self.head.bias.zero_()


class Pooled(BackboneNetwork):
    """Channel c of a 1x1 convolution is the evidence for class c, averaged over all places."""

    def __init__(self) -> None:
        layers = (nn.Conv2d(3, 3, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(nn.Sequential(*layers), nn.Linear(3, 3))
        with torch.no_grad():
            self.backbone[0].weight.copy_(torch.eye(3)[..., None, None])
            self.head.weight.copy_(torch.eye(3))
            self.head.bias.zero_()


def test_the_area_of_a_linear_model():
    """The check of the dossier: four pixels with .4 .3 .2 .1, in the right order and reversed."""
    weights = np.array([[0.4, 0.3], [0.2, 0.1]])

    def believed(pictures):
        return (pictures[..., 0] / 255.0 * weights).sum(axis=(1, 2))

    picture, blank = np.full((2, 2, 3), 255, np.uint8), np.zeros((2, 2, 3), np.uint8)
    for ranked, deletion in ((weights, 0.375), (-weights, 0.625), (np.ones((2, 2)), 0.375)):
        areas = deletion_insertion(picture, ranked, believed, steps=4, blank=blank)
        assert areas == pytest.approx((deletion, 1 - deletion))
    assert belief_area(np.array([1.0, 0.0])) == 0.5


def test_a_map_of_what_is_read_deletes_faster_than_one_of_the_rest():
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, (16, 16, 3), np.uint8)
    picture[:8, :8] = 255
    flat = blurred(picture)[:8, :8].mean()

    def believed(pictures):
        return (pictures[:, :8, :8].mean(axis=(1, 2, 3)) - flat) / (255 - flat)

    true_map = np.zeros((16, 16))
    true_map[:8, :8] = 1
    right, wrong = (deletion_insertion(picture, each, believed) for each in (true_map, -true_map))
    assert right.deletion < 0.3 < 0.7 < wrong.deletion
    assert right.insertion > 0.7 > 0.3 > wrong.insertion


def test_cell_shares():
    assert cell_shares(torch.ones(1, 4, 4), 2).tolist() == [0.25]
    inside = torch.zeros(1, 4, 4)
    inside[0, 2:, 2:] = 3
    inside[0, :2, :2] = -5
    assert cell_shares(inside, 3).tolist() == [1]
    assert cell_shares(inside, 0).tolist() == [0]
    assert cell_shares(torch.zeros(1, 4, 4), 0).tolist() == [0]  # as in the reference


def test_grids_have_one_cell_of_the_explained_class():
    target = np.array([0, 0, 0, 1, 1, 2])
    sure = np.array([1.0, 1, 0.5, 1, 1, 1])
    grids = drawn_grids(target, sure, np.random.default_rng(0), most=12)
    assert {target[grid.rows[grid.cell]] for grid in grids} == {0, 1, 2}
    assert {grid.cell for grid in grids} == {0, 3}
    for grid in grids:
        assert (target[list(grid.rows)] == target[grid.rows[grid.cell]]).sum() == 1
        assert 2 not in grid.rows
    assert drawn_grids(target[:3], sure[:3], np.random.default_rng(0), most=3) == []
    cells = torch.arange(4).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    assert grid_image(cells)[0].tolist() == [[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2


def coloured(*channels: int) -> Tensor:
    """Cells of one pure colour each, 4 x 4."""
    cells = torch.zeros(len(channels), 3, 4, 4)
    for cell, channel in enumerate(channels):
        cells[cell, channel] = 1
    return cells


def test_grad_cam_is_the_layer_gradient():
    model, image = Pooled(), torch.rand(2, 3, 4, 4)
    found = layer_gradient(model, image, target=torch.tensor([0, 2]), layer="0")
    weight = found.gradient.mean(dim=(2, 3), keepdim=True)
    maps = (weight * found.activation).sum(dim=1).clamp(min=0)
    expected = grad_cam(model, image, target=torch.tensor([0, 2]), layer="0", upsample=False)
    least, spread = maps.amin(dim=(1, 2), keepdim=True), None
    spread = maps.amax(dim=(1, 2), keepdim=True) - least
    assert torch.allclose((maps - least) / spread, expected, atol=1e-6)


def test_difull_and_dipart_of_a_model_whose_evidence_is_in_its_cell():
    """The evidence for class 0 is red: only cell 0 is red, so that all attribution lies there."""
    model = Pooled()
    after = nn.Sequential(*model.backbone[1:])
    for channels, cell, share in (((0, 1, 2, 1), 0, 1.0), ((0, 0, 0, 0), 0, 0.25)):
        maps = difull_map(model, coloured(*channels), 0, cell)
        assert cell_shares(maps[None], cell).tolist() == pytest.approx([share])
        activation = model.backbone[0](grid_image(coloured(*channels))[None])[0]
        partial = dipart_map(after, model.head, activation, 0, cell)
        assert cell_shares(partial[None], cell).tolist() == pytest.approx([share])
        assert torch.allclose(maps * 0 + (maps > 0), (partial > 0).float())


def test_grad_cam_of_a_position_reader_leaves_its_cell():
    """Its weights do not know the place, so that bright cells outside get attribution, too."""
    cells = torch.zeros(4, 3, 8, 8)
    cells[0], cells[3] = 1, 1
    share = cell_shares(difull_map(CornerReader(), cells, 1, 0)[None], 0)
    assert share.tolist() == pytest.approx([0.5])


def explain(model, image):
    return grad_cam(model, image, target=1, layer="0", upsample=False)


def test_maps_of_a_trained_head_change_with_a_new_one_and_edges_do_not():
    torch.manual_seed(0)
    image = torch.rand(6, 3, 4, 4) + coloured(1)[0]
    (head, stage) = randomised(Pooled(), image, explain, draws=8, seed=0)
    assert (head.layer, stage.layer) == ("head", "backbone.0")
    assert abs(head.correlation) < 0.5

    def edges(model, image):
        return image.mean(dim=1)

    assert [each.correlation for each in randomised(Pooled(), image, edges, seed=0)] == [1, 1]


def test_rank_correlations_are_spearmans():
    first, second = torch.rand(3, 4, 5), torch.rand(3, 4, 5)
    first[0].round_(decimals=1)
    expected = [
        spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(first, second, strict=True)
    ]
    assert rank_correlations(first, second).tolist() == pytest.approx(expected)
    assert rank_correlations(first, torch.ones(3, 4, 5)).tolist() == [0, 0, 0]


def test_instability_is_that_of_captum():
    from captum.metrics import sensitivity_max

    def linear(model, image):
        return image.sum(dim=1)

    pixels = torch.rand(3, 3, 8, 8) + 0.1
    found = instability(
        Pooled(), pixels, linear, lambda x: 5 * x, generator=torch.Generator().manual_seed(0)
    )
    torch.manual_seed(0)
    expected = sensitivity_max(
        lambda inputs: (5 * inputs[0].sum(dim=1),), pixels, perturb_radius=1 / 255
    )
    assert found.tolist() == pytest.approx(expected.tolist(), rel=0.2)
    still = instability(
        Pooled(), pixels, lambda model, image: image * 0, lambda x: x, generator=torch.Generator()
    )
    assert still.tolist() == [0, 0, 0]


def test_one_swap_of_the_cell_that_is_read_flips_the_decision():
    """The head reads cell 0 alone; only the distractor's cell 3 shows the other class."""
    head = nn.Linear(8, 2, bias=False)
    with torch.no_grad():
        weight = torch.zeros(2, 2, 4)
        weight[0, 0, 0] = weight[1, 1, 0] = 1
        head.weight.copy_(weight.flatten(1))
    picture = torch.zeros(2, 2, 2)
    picture[0, 0, 0] = 1
    distractor = torch.zeros(2, 2, 2)
    distractor[1, 1, 1] = 2
    found = counterfactual(nn.Flatten(), head, picture, distractor, 1)
    assert found == ((Swap(0, 3),), True)
    assert (
        counterfactual(nn.Flatten(), head, picture, picture * 0 + picture, 1, most=2).flips is False
    )


def textured(generator, side=24):
    picture = generator.integers(100, 156, (side, side, 3), np.uint8)
    picture[8:16, 8:16] = generator.integers(0, 256, (8, 8, 3), np.uint8)
    return picture


def believed(pictures):
    """Belief grows with the texture of the middle."""
    spread = pictures[:, 8:16, 8:16].astype(float).std(axis=(1, 2, 3))
    return np.clip(spread / 80, 0, 1)


def test_the_information_curve_of_the_right_map_lies_above_that_of_the_wrong_one():
    generator = np.random.default_rng(0)
    picture, seen = textured(generator), random_pixels(24, 24, generator)
    ranked = np.zeros((24, 24))
    ranked[8:16, 8:16] = 1
    ranked += generator.random((24, 24)) / 10
    picture[8:16, 8:16] = 255 * (picture[8:16, 8:16] > 127)
    curves = [information_curve(picture, each, believed, seen) for each in (ranked, -ranked)]
    assert all(curve is not None for curve in curves)
    assert curves[0].area > curves[1].area + 0.1
    assert curves[0].height.shape == (1001,)
    assert (np.diff(curves[0].height[:-1]) >= -1e-12).all()
    middle = aggregated(curves)
    assert middle.height == pytest.approx((curves[0].height + curves[1].height) / 2)
    assert information_curve(picture, ranked, lambda p: believed(p) * 0, seen) is None


def test_revealed_pixels_are_kept_and_others_are_interpolated():
    slope = np.arange(16, dtype=np.uint8)[:, None, None].repeat(16, 1).repeat(3, 2) * 10
    seen = random_pixels(16, 16, np.random.default_rng(0), share=0.1)
    assert seen.sum() == 25
    assert np.array_equal(revealed_picture(slope, seen), slope)  # linear
    noise = textured(np.random.default_rng(1), 16)
    result = revealed_picture(noise, seen)
    assert np.array_equal(result[seen], noise[seen])
    assert result[~seen].astype(int).std() < noise[~seen].astype(int).std()
    assert webp_size(noise) > webp_size(result)
