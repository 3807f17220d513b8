"""Words and numbers that describe a slice."""

import numpy as np
import pytest

from debias.audits.slices.words import property_gaps, slice_words


def test_a_word_of_nine_in_ten_images_and_of_one_other_ranks_first():
    inside = np.arange(100) < 10
    captions = ["a bird, bamboo and a tree" if i < 9 else "a bird and a tree" for i in range(10)]
    captions += ["a bird on water, bamboo"] + ["a bird on water and a tree"] * 89
    words = slice_words(captions, inside)
    assert (words[0].word, words[0].inside, words[0].outside) == ("bamboo", 9, 1)
    assert words[-1].word == "water"
    assert words[0].score > 2
    assert "on" not in {word.word for word in words}


def test_sides_exchanged_change_the_signs():
    rng = np.random.default_rng(0)
    captions = [" ".join(rng.choice(["one", "two", "three", "four"], 2)) for _ in range(30)]
    inside = np.arange(30) < 12
    scores = {word.word: word.score for word in slice_words(captions, inside)}
    others = {word.word: -word.score for word in slice_words(captions, ~inside)}
    assert scores == pytest.approx(others)


def test_without_words_there_is_nothing_to_say():
    assert slice_words(["", "tree"], np.array([True, False])) == []
    assert slice_words(["tree", "tree"], np.array([True, False]))[0].score == 0


def test_the_property_that_differs_most_comes_first():
    inside = np.array([True, True, False, False])
    columns = {
        "size": np.array([1.0, 2, 1, 2]),
        "brightness": np.array([0.2, 0.3, 0.8, 0.9]),
        "constant": np.ones(4),
        "unknown": np.array([np.nan, np.nan, 1, 2]),
    }
    first, second = property_gaps(columns, inside)
    assert (first.name, second.name) == ("brightness", "size")
    assert (first.inside, first.outside) == pytest.approx((0.25, 0.85))
    assert first.effect == pytest.approx(-0.6 / columns["brightness"].std())
