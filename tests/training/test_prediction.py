"""The verb predict: its precision."""

import pytest
import torch

from debias.training.prediction import extract, predict
from tests.fakes import TinyClassifier, batch_of


@pytest.mark.parametrize(("read", "field"), [(predict, "logits"), (extract, "features")])
def test_predictions_are_made_in_the_precision_that_is_asked_for(read, field):
    """In bf16-mixed they are those of a pass under autocast, bit by bit, unlike float32."""
    torch.manual_seed(0)
    model, batch = TinyClassifier().eval(), batch_of(8)
    with torch.no_grad():
        whole = getattr(model(batch.image), field)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = getattr(model(batch.image), field).float()
    assert not torch.equal(whole, rounded)
    for options, expected in (({"precision": "bf16-mixed"}, rounded), ({}, whole)):
        found = read(model, [batch], **options)
        assert torch.equal(found.logits if read is predict else found, expected)
