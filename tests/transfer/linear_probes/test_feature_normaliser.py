import torch
from torch import nn

from pretext.runtime.distributed import World
from transfer.linear_probes.heads import FeatureNormaliser

ALONE = World(rank=0, size=1, device=torch.device("cpu"))


def made_maps(count):
    generator = torch.Generator().manual_seed(1)
    return [3 * torch.randn(6, 8, 3, 3, generator=generator) + 1 for _ in range(count)]


def test_features_are_normalised_as_by_batch_norm_without_affine_parameters():
    normaliser, reference = FeatureNormaliser(8, ALONE), nn.BatchNorm2d(8, affine=False)
    everything = torch.ones(6, dtype=torch.bool)
    for maps in made_maps(3):
        torch.testing.assert_close(normaliser(maps, everything), reference(maps))
    torch.testing.assert_close(normaliser.running_mean, reference.running_mean)
    torch.testing.assert_close(normaliser.running_var, reference.running_var)
    normaliser.eval()
    reference.eval()
    torch.testing.assert_close(normaliser(maps, None), reference(maps))


def test_unreadable_images_do_not_enter_the_statistics():
    readable = torch.tensor([True, True, False, True, False, True])
    maps = made_maps(1)[0]
    all_of_four, four_of_six = FeatureNormaliser(8, ALONE), FeatureNormaliser(8, ALONE)
    expected = all_of_four(maps[readable], torch.ones(4, dtype=torch.bool))
    torch.testing.assert_close(four_of_six(maps, readable)[readable], expected)
    torch.testing.assert_close(four_of_six.running_var, all_of_four.running_var)
