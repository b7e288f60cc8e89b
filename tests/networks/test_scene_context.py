"""The U-Net with several heads: the sizes of the authors' code, and what its heads answer."""

from itertools import pairwise

import pytest
import torch

from pretext.networks import build_network

HEADS = {"bins": 313, "ab": 2, "segments": 183, "scenes": 365}


def num_parameters(arriving, *channels):
    """Of a unit: convolutions of 3x3 with biases, and one BatchNorm."""
    convolutions = sum(9 * inputs * outputs + outputs for inputs, outputs in pairwise([arriving, *channels]))
    return convolutions + 2 * channels[-1]


def test_it_has_the_parameters_of_the_authors_layers():
    with torch.device("meta"):
        network = build_network("scene_context", output=HEADS)
    encoder = [1, 64, 128, 256, 512, 1024]
    expected = sum(num_parameters(arriving, channels, channels) for arriving, channels in pairwise(encoder))
    for arriving, channels in pairwise([1024, 512, 256, 128, 64]):
        expected += num_parameters(arriving, channels) + num_parameters(2 * channels, channels, channels)
    expected += (64 + 1) * (313 + 2 + 183) + (1024 + 1) * 1024 + (1024 + 1) * 365
    assert sum(parameter.numel() for parameter in network.parameters()) == expected == 35_976_031


def test_heads_answer_every_pixel_and_the_scene_once_for_any_size():
    torch.manual_seed(0)
    network = build_network("scene_context", output=HEADS, width=0.125).eval()
    seen = 100 * torch.rand(2, 1, 37, 51)
    with torch.no_grad():
        answers = network(seen)
        assert {name: tuple(answer.shape[1:]) for name, answer in answers.items()} == {
            "bins": (313, 37, 51),
            "ab": (2, 37, 51),
            "segments": (183, 37, 51),
            "scenes": (365,),
        }
        assert answers["ab"].abs().max() < 1
        # Nothing of the scene's head flows back into the others.
        network.heads["scenes"].requires_grad_(False)
        for parameter in network.heads["scenes"].parameters():
            parameter.zero_()
        changed = network(seen)
    assert torch.equal(changed["bins"], answers["bins"])
    assert not changed["scenes"].any()


def test_a_head_of_another_name_is_refused():
    with pytest.raises(ValueError, match=r"there is no head 'segment' .did you mean 'segments'"):
        build_network("scene_context", output={"bins": 313, "segment": 21})
    with pytest.raises(
        ValueError, match="its output is not 'rgb'; train it on the task scene_context_coloriz"
    ):
        build_network("scene_context", output="rgb")
