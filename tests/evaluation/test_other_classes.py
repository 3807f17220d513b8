"""The outputs of a classifier as the classes of another data set."""

import pytest
import torch

from debias.data.class_maps import WNIDS, ClassMap, class_map
from debias.errors import InputError
from debias.evaluation.other_classes import NO_CLASS, match_classes
from debias.types import Attribute, Groups

IMAGENET = Groups(WNIDS, ("unknown",))
SHUFFLED = Groups(tuple(reversed(WNIDS)), ("unknown",))


def logits_of(*highest: dict[int, float]) -> torch.Tensor:
    """One row per picture: probabilities at positions of ImageNet; the rest is small."""
    logits = torch.full((len(highest), 1000), -20.0)
    for row, values in enumerate(highest):
        for place, probability in values.items():
            logits[row, place] = torch.tensor(probability).log()
    return logits


def test_a_class_of_the_set_has_the_mean_probability_of_its_members():
    """A tabby of 0.4 among six cats has the mean 0.07, below an only airliner of 0.2. All six cats
    together have 0.3 each, and win.
    """
    cats = dict.fromkeys(range(281, 287), 0.3)
    logits = logits_of({281: 0.4, 404: 0.2}, {**cats, 404: 0.2})
    match = match_classes(IMAGENET, Groups(("cat",), ("dog", "cat")), class_map("cue_conflict"))
    decided = match.groups.predict(match._scores(logits)).tolist()
    assert [match.groups.target_names[place] for place in decided] == ["airplane", "cat"]
    assert match.target.tolist() == [match.groups.target_names.index("cat")]
    assert match.groups.bias_names == ("dog", "cat")
    assert match.scored


def test_the_subset_alone_decides():
    """The highest output is a class that the set does not have."""
    subset = class_map("imagenet_a")
    first, outside = WNIDS.index(subset.classes[0]), int((subset.of_imagenet < 0).nonzero()[0])
    match = match_classes(IMAGENET, Groups((subset.classes[0],), ("unknown",)), subset)
    scores = match._scores(logits_of({outside: 0.9, first: 0.01}))
    assert scores.argmax().item() == match.target.item() == 0
    assert match.groups.target_names[0].endswith(f"({subset.classes[0]})")


def test_the_top_class_may_be_none_of_the_set():
    """A goldfish is a fish; a volcano is nothing of ImageNet-9, even if a fish comes second."""
    nine = class_map("imagenet9")
    match = match_classes(IMAGENET, Groups(("08_fish",), ("original",)), nine, top=True)
    decided = match._scores(logits_of({1: 0.6}, {980: 0.6, 1: 0.3})).argmax(dim=1).tolist()
    assert [match.groups.target_names[place] for place in decided] == ["08_fish", NO_CLASS]
    assert not match.scored


def test_a_run_with_imagenets_classes_in_another_order_is_read_the_same():
    logits = torch.randn(5, 1000, generator=torch.Generator().manual_seed(0))
    conflict, data = class_map("cue_conflict"), Groups(("cat",), ("cat",))
    usual = match_classes(IMAGENET, data, conflict)
    shuffled = match_classes(SHUFFLED, data, conflict)
    assert torch.equal(usual._scores(logits), shuffled._scores(logits.flip(1)))


def test_a_run_with_the_classes_of_the_set_needs_no_map():
    """Its own order of the classes holds, with the aligned pairs."""
    model = Groups(("dog", "cat", "bird"), ("a",), aligned=((0, 0),))
    data = Groups(("bird", "dog"), ("land", "sea"), aligned=((0, 1), (1, 0)))
    match = match_classes(model, data, class_map("cue_conflict"))
    assert match.groups == Groups(("dog", "cat", "bird"), ("land", "sea"), aligned=((2, 1), (0, 0)))
    assert match.target.tolist() == [2, 0]
    logits = torch.tensor([[1.0, 2, 3]])
    assert match._scores(logits) is logits


def test_a_class_that_the_model_does_not_have_is_an_error():
    with pytest.raises(InputError, match="the model has no class fox; its classes are dog, cat"):
        match_classes(Groups(("dog", "cat"), ("a",)), Groups(("cat", "fox"), ("a",)))
    small = ClassMap(("cat",), torch.zeros(1000, dtype=torch.int64))
    with pytest.raises(InputError, match="the model has no class fox; its classes are cat"):
        match_classes(IMAGENET, Groups(("fox",), ("a",)), small)


def test_several_labels_must_be_the_same():
    labels = Groups(("not smiling", "smiling"), ("a",), multi_label=True)
    others = Groups(("not blond", "blond"), ("a",), multi_label=True)
    assert match_classes(labels, labels).groups == labels
    with pytest.raises(InputError, match="the model has no class"):
        match_classes(labels, others)
    with pytest.raises(InputError, match="the model has no class"):
        match_classes(Groups(labels.target_names, ("a",)), labels)


def test_every_attribute_keeps_its_aligned_pairs_under_the_classes_of_the_model():
    """The model has the two classes in another order, and a third one."""
    background = Attribute("background", ("street", "field"), ((0, 1), (1, 0)))
    light = Attribute("light", ("day", "night"), ((1, 1),))
    data = Groups.product(("cow", "car"), (background, light))
    groups = match_classes(Groups(("car", "dog", "cow"), ("none",)), data).groups
    assert groups.alone(0).aligned == ((2, 1), (0, 0))
    assert groups.alone(1).aligned == ((0, 1),)
