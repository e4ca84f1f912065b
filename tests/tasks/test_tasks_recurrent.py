"""Shapes of recurrent layers without their steps are those that the steps give."""

from __future__ import annotations

import pytest
import torch

from tasks.reference.recurrent import RecurrentShapes


def sizes(results: object) -> list[tuple[int, ...]]:
    return [tuple(tensor.shape) for tensor in torch.utils._pytree.tree_leaves(results)]


@pytest.mark.parametrize("layer", [torch.nn.GRU, torch.nn.LSTM, torch.nn.RNN])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"batch_first": True}, {"num_layers": 3}])
@pytest.mark.parametrize("shape", [(4, 6, 5), (6, 5)])
def test_recurrent_layers_have_the_sizes_of_their_steps(layer, options, shape):
    model = layer(5, 7, **options)
    x = torch.rand(shape)
    with RecurrentShapes():
        found = sizes(model(x))
    assert found == sizes(model(x))


def test_projected_lstm_and_packed_sequences():
    model = torch.nn.LSTM(5, 7, proj_size=3)
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.rand(4, 2, 5), [4, 2])
    with RecurrentShapes():
        assert sizes(model(torch.rand(4, 2, 5))) == [(4, 2, 3), (1, 2, 3), (1, 2, 7)]
        assert tuple(model(packed)[0].data.shape) == (6, 3)
