"""Options that need another one are allowed where they may have an effect."""

import pytest

from debias import config as configs
from debias.idle import SWITCHES, check_effects


@pytest.mark.parametrize(
    "overrides",
    [
        # a sweep over the values of the other option
        ["model.projection=none", "model.kappa=1.2"],
        ["data.label_noise=0", "data.label_pairs=[[0,1]]"],
        ["model.first_layer=null", "model.ridge=1"],
        ["recipe.name=self", "recipe.disagreement=null", "recipe.early_epochs=[2]"],
        # the other option is switched on
        ["model.projection=reweight", "model.kappa=1.2"],
        ["data.image_noise={blur: 1}", "data.noise_seed=1"],
        ["data.name=imsitu_gender", "data.ratio=1", "data.balanced=[train, val]"],
        ["strategy.name=ood_training", "strategy.steps=1", "strategy.epsilon=0.1"],
        # or it is by default
        ["strategy.name=adversarial_training", "strategy.epsilon=0.1"],
        ["strategy.name=feature_adversary", "strategy.hidden_size=50"],
        ["strategy.name=rebias", "strategy.sigma=2", "strategy.median_every=50"],
        # or the component does not have it
        ["strategy.name=free_adversarial_training", "strategy.epsilon=0.1", "strategy.norm=l2"],
        # the value is the default
        ["recipe.name=self", "recipe.early_epochs=[1]"],
        ["strategy.name=feature_adversary", "strategy.feed=pooled"],
        ["groups.file=groups.csv", "groups.splits=[train, val]"],
    ],
)
def test_allowed(overrides):
    check_effects(configs.load("drawn_birds", overrides))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["strategy.name=ood_training", "strategy.epsilon=0.1"], "without strategy.steps: set"),
        (["recipe.name=jtt", "recipe.identification.select=average"], "has no select of its own"),
        (
            ["recipe.name=dfr", "recipe.base.recipe.name=jtt"],
            r"recipe\.base\.recipe is not allowed",
        ),
        (
            ["recipe.name=jtt", "recipe.identification.data.csv=other.csv"],
            r"recipe\.identification\.data is not allowed.*: set data for the run",
        ),
        (["recipe.name=dfr", "recipe.base.devices=2"], "set devices for the run, or leave it out"),
        (["recipe.name=dfr", "recipe.base.measures=all"], "a stage has no measures of its own"),
        (["strategy.name=ood_training", "strategy.norm=l2"], "norm=l2 has no effect without"),
        (["strategy.name=spectral_decoupling", "strategy.warmup_coefficient=1"], "strategy.warmup"),
        (["data.name=imsitu_gender", "data.balanced=[train, val]"], "no effect without data.ratio"),
        (
            ["strategy.name=uniform_confusion", "strategy.hidden_size=50"],
            "hidden_size=50 has no effect without strategy.hidden_layers: set",
        ),
        (
            ["strategy.name=rebias", "strategy.bandwidth=fixed", "strategy.median_every=50"],
            "median_every=50 has no effect without strategy.bandwidth=median",
        ),
        (
            ["strategy.name=rebias", "strategy.kernel=linear", "strategy.sigma=2"],
            "sigma=2 has no effect without strategy.kernel=rbf",
        ),
        (["model.projection=mlp", "model.kappa=1.2"], "without model.projection=reweight"),
        (["recipe.name=jtt", "groups.file=g.csv"], "does not allow groups.file; got groups.file=g"),
    ],
)
def test_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        check_effects(configs.load("drawn_birds", overrides))


def test_the_sections_are_those_of_a_config():
    assert SWITCHES.keys() <= {*configs.SECTIONS}
