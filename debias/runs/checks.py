"""Checks of a run and its stages before any of them is trained."""

import warnings
from collections.abc import Sequence

from debias.build import build
from debias.checks import check_numbers
from debias.config import Config
from debias.data.examples import Examples
from debias.data.partition import placeholder_partition
from debias.errors import InputError
from debias.evaluation.measures import chosen_families
from debias.idle import check_effects
from debias.run_weights import differing


def check_settings(config: Config) -> None:
    """Check the settings of a run that need no data.

    Raises:
        ValueError: a number is out of range, a family of measures is unknown, or a setting has no
            effect.
    """
    check_numbers(config)
    chosen_families(config.measures)
    check_effects(config)


def check_continued(early: Config, last: Config) -> None:
    """Check that the last stage can continue with the model of an early one.

    Args:
        early: config of the early stage.
        last: config of the last stage.

    Raises:
        ValueError: their models have other architectures.
    """
    for key in differing(early.model, last.model):
        raise InputError(
            f"the last stage continues with the model of an earlier one, which has model.{key}="
            f"{early.model.get(key)}; got model.{key}={last.model.get(key)} for the last one: set "
            f"model.{key} for the run, which changes both"
        )


def check_inferring(config: Config, examples: Examples, splits: Sequence[str]) -> None:
    """Check a last stage whose groups are inferred only later, with groups in their place.

    Args:
        config: config of the last stage.
        examples: the data set.
        splits: splits whose groups are inferred.

    Raises:
        ValueError: the config or the data has a mistake.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about groups that are not the inferred ones
        build(config, placeholder_partition(examples, splits))
