"""What a vision transformer says of a whole image, against the libraries' own ways of saying it."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn
from torchvision import models

import transfer
from pretext.images.sample import sample_source
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig
from transfer.data.labelled import LabelledImages
from transfer.live_backbone import LiveBackbone
from transfer.stages import TransferBackbone, choose_stages
from transfer.tokens import TOKENS

VIT = "vit_tiny_patch16_224"
NORMALISED = torch.tensor([0.5] * 3)[:, None, None]  # mean and deviation of timm's ViTs


def rgb(size: int = 64) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def seeded_vit(name: str = VIT) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, dynamic_img_size=True).eval()


@torch.inference_mode()
def vectors(network: TransferBackbone, images: Tensor) -> dict[str, Tensor]:
    outputs = network.forward_stages(images, network.vectors)
    for name, spec in network.vectors.items():
        assert outputs[name].shape == (len(images), spec.channels, 1, 1)
    return {name: output.flatten(1) for name, output in outputs.items()}


@torch.inference_mode()
def evaluated(vit: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """As DINO's eval_linear.py and DINOv2's create_linear_input make them of the last blocks' normalised tokens."""
    blocks = vit.get_intermediate_layers(images, 4, return_prefix_tokens=True, norm=True)
    mean = blocks[-1][0].mean(1)
    expected = {}
    for number in (1, 4):
        classes = torch.cat([prefix[:, 0] for _, prefix in blocks[-number:]], dim=-1)
        expected[f"class{number}"] = classes
        expected[f"class{number}+mean"] = torch.cat([classes, mean], dim=-1)
    return expected | {"mean": mean}


@pytest.mark.parametrize("name", [VIT, "vit_small_patch14_reg4_dinov2", "deit_tiny_distilled_patch16_224"])
def test_tokens_of_a_timm_transformer_are_those_of_dinos_and_dinov2s_evaluation(name: str) -> None:
    vit = seeded_vit(name)
    network = open_backbone(f"random:timm:{name}").network
    network.network.load_state_dict(vit.state_dict(), strict=False)
    size = 4 * vit.patch_embed.patch_size[0]
    found = vectors(network, rgb(size))
    expected = evaluated(vit, (rgb(size) - network.mean) / network.std)
    assert tuple(found) == TOKENS
    for token, vector in found.items():
        torch.testing.assert_close(vector, expected[token], msg=token)


@torch.inference_mode()
def test_the_last_class_token_is_what_the_library_classifies() -> None:
    vit = seeded_vit()
    vit.reset_classifier(0)
    network = open_backbone(f"random:timm:{VIT}").network
    network.network.load_state_dict(vit.state_dict())
    torch.testing.assert_close(vectors(network, rgb())["class1"], vit((rgb() - NORMALISED) / NORMALISED))

    torch.manual_seed(3)
    whole = models.vit_b_32().eval()
    whole.heads = nn.Identity()
    network = open_backbone(BackboneConfig(model="random:torchvision:vit_b_32"), 3).network
    expected = whole((rgb(224) - network.mean) / network.std)
    torch.testing.assert_close(vectors(network, rgb(224))["class1"], expected)


def test_a_live_transformer_gives_its_tokens_after_its_last_normalisation() -> None:
    vit = seeded_vit()
    backbone = LiveBackbone(vit, {f"block {n}": f"blocks.{n}" for n in (8, 9, 10, 11)}, image_size=224)
    for name, vector in vectors(backbone, rgb(224)).items():
        torch.testing.assert_close(vector, evaluated(vit, rgb(224))[name], msg=name)
    normalised = LiveBackbone(vit, {"last": "norm"}, image_size=224)
    assert list(normalised.vectors) == ["class1", "class1+mean", "mean"]
    torch.testing.assert_close(vectors(normalised, rgb(224))["class1"], evaluated(vit, rgb(224))["class1"])


def test_weights_in_the_files_of_dino_and_mae_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vit = seeded_vit()
    weights = {name: tensor for name, tensor in vit.state_dict().items() if not name.startswith("head.")}
    others = {"mask_token": torch.zeros(1, 1, 192), "decoder_embed.weight": torch.zeros(8, 192)}
    student = {f"module.backbone.{name}": tensor + 1 for name, tensor in weights.items()}
    teacher = {f"backbone.{name}": tensor for name, tensor in weights.items()}
    torch.save({"model": weights | others}, tmp_path / "mae.pth")
    torch.save({"student": student, "teacher": teacher, "epoch": 100}, tmp_path / "dino.pth")
    save_file(weights, tmp_path / "plain.safetensors")
    expected = evaluated(vit, (rgb() - NORMALISED) / NORMALISED)
    hashes = set()
    for file in ("mae.pth", "dino.pth", "plain.safetensors"):
        opened = open_backbone(BackboneConfig(model=f"timm:{VIT}", weights=str(tmp_path / file)))
        hashes.add(opened.sha256)
        torch.testing.assert_close(vectors(opened.network, rgb())["class4+mean"], expected["class4+mean"])
    assert len(hashes) == 1
    assert "left out 2: mask_token, decoder_embed.weight" in capsys.readouterr().out.replace("model.", "")


def test_the_files_of_dinov2_with_registers_give_what_timm_makes_of_them(tmp_path: Path) -> None:
    name = "vit_small_patch14_reg4_dinov2"
    torch.manual_seed(0)
    of_dinov2 = {
        of: torch.randn_like(tensor) / 50 for of, tensor in timm.create_model(name).state_dict().items()
    }
    of_dinov2["register_tokens"] = of_dinov2.pop("reg_token")
    of_dinov2["pos_embed"] = torch.cat([torch.randn(1, 1, 384), of_dinov2["pos_embed"]], dim=1)
    of_dinov2["mask_token"] = torch.zeros(1, 384)
    torch.save(of_dinov2, tmp_path / "dinov2_vits14_reg4_pretrain.pth")
    torch.save(
        {"teacher": {f"backbone.{of}": tensor for of, tensor in of_dinov2.items()}}, tmp_path / "own.pth"
    )
    by_timm = timm.create_model(name, dynamic_img_size=True).eval()
    by_timm.load_state_dict(checkpoint_filter_fn(dict(of_dinov2), by_timm))
    images = rgb(56)
    mean, std = (
        torch.tensor(of)[:, None, None] for of in (by_timm.default_cfg["mean"], by_timm.default_cfg["std"])
    )
    expected = evaluated(by_timm, (images - mean) / std)
    for file in ("dinov2_vits14_reg4_pretrain.pth", "own.pth"):
        network = open_backbone(BackboneConfig(model=f"timm:{name}", weights=str(tmp_path / file))).network
        for of, vector in vectors(network, images).items():
            torch.testing.assert_close(vector, expected[of], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["random:eccv16", "random:timm:resnet18", "random:timm:vit_base_patch16_siglip_224"]
)
def test_a_network_without_a_class_token_is_told_its_stages(name: str) -> None:
    network = open_backbone(name).network
    with pytest.raises(ValueError, match=f"stage class4 .* its stages are {next(iter(network.stages))}"):
        choose_stages(network, ["class4"])


def test_a_vector_is_no_map_for_a_detector() -> None:
    network = open_backbone(f"random:timm:{VIT}").network
    with pytest.raises(ValueError, match=r"stage class1 is a vector, .* choose one of blocks\.8"):
        network.require_map("class1")


def test_a_size_that_the_patches_do_not_fill_is_named() -> None:
    network = open_backbone(f"random:timm:{VIT}").network
    with pytest.raises(ValueError, match=r"multiples of 16 px, got 70 x 70; set data\.crop_size"):
        network.forward_stages(rgb(70), ["class1"])


# The heads that the published evaluations train, of ViT-S/16 (384 numbers a token).
PUBLISHED = {
    "dino21": {"class4": 1536, "class1+mean": 768},
    "dinov2": {"class1": 384, "class1+mean": 768, "class4": 1536, "class4+mean": 1920},
    "mae22": {"class1": 384},
}


@pytest.mark.parametrize("protocol", PUBLISHED)
def test_every_protocol_of_transformers_trains_the_published_heads(protocol: str, tmp_path: Path) -> None:
    def of(split: str) -> LabelledImages:
        source = sample_source(split)
        labels = torch.arange(len(source)).remainder(2).numpy()
        return LabelledImages(source=source, classes=("even", "odd"), labels=labels, name=split)

    records = transfer.linear(
        "random:timm:vit_small_patch16_224",
        of("train"),
        of("validation"),
        protocol=protocol,
        validation=0.4,
        epochs=2,
        batch_size=3,
        image_size=40,
        crop_size=32,
        num_workers=0,
        device="cpu",
        out=tmp_path,
    )
    assert [record.stage for record in records if record.metric == "top1"] == sorted(
        PUBLISHED[protocol], key=TOKENS.index
    )
    heads = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)["heads"]
    shapes = {tensor.shape[-1] for name, tensor in heads.items() if name.endswith("weight")}
    assert shapes == set(PUBLISHED[protocol].values())
    num_rates = {len(tensor) for name, tensor in heads.items() if name.endswith("weight")}
    assert num_rates == {13 if protocol == "dinov2" else 1}
