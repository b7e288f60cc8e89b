"""Networks of timm: timm's own features, and everything that a network here must be able to do."""

import pytest
import timm
import torch
from torch import nn

import pretext
import transfer
from pretext.__main__ import main
from pretext.networks import build_network
from pretext.networks.synchronised_batch_norm import synchronise_batch_norm
from pretext.pretrained import describe_network


def test_the_stages_are_timm_s():
    torch.manual_seed(0)
    network = build_network("timm:resnet18", output=None, args={"input": "rgb"}).eval()
    plain = timm.create_model("resnet18", num_classes=0).eval()
    plain.load_state_dict(network.network.state_dict())
    rgb = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        features = network.forward_stages(rgb, ["layer4"])["layer4"]
        # Around 0 as (RGB - 0.5) / 0.5, which timm calls Inception's normalisation.
        torch.testing.assert_close(features, plain.forward_features(2 * rgb - 1))
    assert network.deepest == (512, 32)


@pytest.mark.parametrize(
    ("name", "size"), [("resnet18", 50), ("swin_tiny_patch4_window7_224", 64), ("vit_tiny_patch16_224", 48)]
)
@pytest.mark.parametrize("sees", ["lightness", "lab"])
def test_stages_have_the_channels_and_strides_that_they_say_and_the_output_its_grid(name, size, sees):
    network = build_network(f"timm:{name}", output=5, args={"input": sees}).eval()
    seen = network.see(torch.rand(1, 3, size, size))
    with torch.no_grad():
        for stage, maps in network.forward_stages(seen, network.stages).items():
            channels, stride = network.stages[stage]
            assert maps.shape == (1, channels, -(-size // stride), -(-size // stride))
        assert network(seen).shape == (1, 5, -(-size // 8), -(-size // 8))


@pytest.mark.parametrize(
    ("name", "task"),
    [("mobilenetv3_small_050", "colorization_regression"), ("vit_tiny_patch16_224", "rotation")],
)
def test_it_trains_resumes_exports_and_is_tested(name, task, tmp_path, capsys):
    run = tmp_path / "run"
    words = [
        "train",
        "--data.train=sample",
        "--data.image_size=64",
        "--data.crop_size=48",
        "--data.num_workers=0",
        f"--task={task}",
        f"--network.name=timm:{name}",
        "--batch_size=3",
        "--device=cpu",
        "--gallery_images=1",
        f"--run_dir={run}",
    ]
    for steps in (1, 2):
        assert main([*words, f"--steps={steps}"]) == 0, capsys.readouterr().err
    trained = pretext.load_pretrained(run)
    assert trained.step == 2
    assert describe_network(trained.network).name == f"timm:{name}"
    assert main(["export", "--model", str(run), "--out", str(tmp_path / "exported.safetensors")]) == 0
    exported = pretext.load_pretrained(tmp_path / "exported.safetensors")
    assert exported.sha256 == trained.sha256
    records = transfer.knn(
        str(run), "sample", "sample", k=[1], image_size=64, crop_size=48, num_workers=0, device="cpu"
    )
    assert {record.stage for record in records} == set(trained.network.stages)


def test_mistakes_are_one_line_that_says_what_to_do():
    with pytest.raises(ValueError, match=r"timm has no network 'resnet81' .did you mean 'resnet18'"):
        build_network("timm:resnet81", output=None)
    with pytest.raises(ValueError, match=r"timm:resnet18 takes no argument 'depth'"):
        build_network("timm:resnet18", output=None, args={"depth": 3})
    with pytest.raises(ValueError, match=r"torchvision:resnet18 is not trained here; .* give timm:NAME"):
        build_network("torchvision:resnet18", output=None)
    network = build_network("timm:vit_tiny_patch16_224", output=None)
    with pytest.raises(ValueError, match="takes no images of 40 x 40 px: Input height"):
        network.forward_stages(torch.zeros(1, 1, 40, 40), network.stages)


def test_batch_norm_of_another_kind_is_not_left_unsynchronised():
    network = build_network("timm:efficientnet_b0", output=None)
    with pytest.raises(ValueError, match="BatchNormAct2d cannot take its statistics over several processes"):
        synchronise_batch_norm(network)
    synchronise_batch_norm(nn.Sequential(build_network("timm:resnet18", output=None)))
