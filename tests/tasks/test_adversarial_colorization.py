"""DeOldify's training against a critic, and the distance of VGG's features beside that of RGB."""

import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.models import vgg16_bn
from torchvision.transforms.functional import normalize

import pretext
from pretext.images.sample import sample_source
from pretext.networks import build_network
from pretext.tasks import build_task
from pretext.tasks.adversarial_colorization import _Adversaries, _critic

SIZES = {"image_size": 64, "crop_size": 64, "batch_size": 9, "num_workers": 0, "device": "cpu"}


def images(num=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (num, 3, 64, 64), dtype=torch.uint8, generator=generator)


# --------------------------------------------------------------------------------------------------------- the critic
def test_the_critic_has_the_layers_of_deoldify_s():
    # jantic/DeOldify, critics.py: 4x4 at stride 2, three times 3x3 and 4x4 at stride 2 to twice as many, 3x3, 4x4.
    critic = _critic(256)
    kernels = [
        (of.out_channels, of.kernel_size[0], of.stride[0]) for of in critic if isinstance(of, torch.nn.Conv2d)
    ]
    assert kernels == [
        (256, 4, 2), (256, 3, 1), (512, 4, 2), (512, 3, 1), (1024, 4, 2), (1024, 3, 1), (2048, 4, 2), (2048, 3, 1),
        (1, 4, 1),
    ]  # fmt: skip
    assert [of.p for of in critic if isinstance(of, torch.nn.Dropout2d)] == [0.075, 0.15, 0.15, 0.15]
    small = _critic(8).eval()
    with torch.no_grad():
        assert small(torch.rand(2, 3, 64, 64)).shape == (2, 1, 1, 1)
        assert small(torch.rand(2, 3, 80, 96)).shape == (2, 1, 2, 3)


def test_each_learns_from_its_own_loss_alone():
    torch.manual_seed(0)
    task = build_task("adversarial_colorization", {"critic_below": 1e9})
    network, critic = build_network("deoldify", output="rgb", width=0.125), _critic(8)
    seen, targets = task.split(images(), network)
    losses = task.losses(_Adversaries(network, critic)(seen), targets)
    critic_loss = losses.by_name["loss_critic"].sum()
    network_loss = (losses.by_name["loss_adversarial"] + 2 * losses.by_name["loss_content"]).sum()
    of_network, of_critic = list(network.parameters()), list(critic.parameters())
    gradients = torch.autograd.grad(losses.optimised.sum(), of_network + of_critic, retain_graph=True)
    alone = torch.autograd.grad(network_loss, of_network, retain_graph=True)
    alone += torch.autograd.grad(critic_loss, of_critic)
    for together, own in zip(gradients, alone, strict=True):
        torch.testing.assert_close(together, own)


def test_a_network_waits_while_its_critic_cannot_tell():
    torch.manual_seed(0)
    network, critic = build_network("deoldify", output="rgb", width=0.125), _critic(8)
    for threshold, learns in ((1e9, True), (0.0, False)):
        task = build_task("adversarial_colorization", {"critic_below": threshold})
        seen, targets = task.split(images(), network)
        losses = task.losses(_Adversaries(network, critic)(seen), targets)
        network.zero_grad()
        losses.optimised.sum().backward()
        moved = [bool(of.grad.any()) for of in network.parameters() if of.grad is not None]
        assert any(moved) == learns
        assert losses.by_name["loss_adversarial"].gt(0).all()


def test_the_losses_are_cross_entropies_of_true_and_false():
    task = build_task("adversarial_colorization", {"content_weight": 3.0, "critic_below": 0.65})
    truth = images(1)
    logits = {"true": 2.0, "false": -1.0, "fooled": -1.0}
    output = {name: torch.full((1, 1, 1, 1), value) for name, value in logits.items()}
    losses = task.losses({"rgb": truth / 255, **output}, truth).by_name
    critic = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
    assert losses["loss_critic"].item() == pytest.approx(critic)
    assert losses["loss_adversarial"].item() == pytest.approx(math.log1p(math.exp(1)))
    assert losses["loss"].item() == pytest.approx(critic + math.log1p(math.exp(1)))


@pytest.mark.slow
def test_a_second_stage_starts_from_the_first_and_moves_it_where_the_critic_is_good_enough(tmp_path):
    torch.manual_seed(0)
    task, network = build_task("rgb_colorization", {}), build_network("deoldify", output="rgb", width=0.125)
    first = pretext.train(task, network, "sample", run_dir=tmp_path / "first", steps=2, lr=2e-3, **SIZES)
    before = dict(first.network.named_parameters())
    for threshold in (0.0, 10.0):  # never, and always
        network = build_network("deoldify", output="rgb", width=0.125)
        task = build_task("adversarial_colorization", {"critic_channels": 8, "critic_below": threshold})
        run, keys = tmp_path / f"{threshold}", {"init": str(tmp_path / "first"), "betas": (0.0, 0.9)}
        trained = pretext.train(task, network, "sample", run_dir=run, steps=4, lr=3e-4, **keys, **SIZES)
        after = dict(trained.network.named_parameters())
        assert all(torch.isfinite(of).all() for of in after.values())
        assert all(torch.equal(of, before[name]) for name, of in after.items()) == (threshold == 0)
    photograph = sample_source("train").open(0).resize((40, 30))
    (picture,) = pretext.colorize([photograph], run, device="cpu")
    assert picture.size == (40, 30)


def test_images_too_small_for_the_critic_are_refused():
    network = build_network("deoldify", output="rgb", width=0.125)
    with pytest.raises(ValueError, match="the images are 48 x 48: give a larger crop_size"):
        build_task("adversarial_colorization", {}).split(images()[..., :48, :48], network)


# ----------------------------------------------------------------------------------------------------- VGG's features
@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    torch.manual_seed(0)
    network = vgg16_bn().features.eval()
    file = tmp_path_factory.mktemp("vgg") / "vgg16_bn-6c64b313.pth"
    torch.save(network.state_dict(prefix="features."), file)
    return file, network


def test_features_are_compared_before_the_last_poolings_with_deoldify_s_weights(vgg):
    file, network = vgg
    task = build_task("rgb_colorization", {"features": str(file)})
    answers, truth = images(seed=1) / 255, images()
    losses = task.losses(answers, truth).by_name
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    ours, theirs = normalize(answers, mean, std), normalize(truth / 255, mean, std)
    rgb = F.l1_loss(ours, theirs, reduction="none").mean((1, 2, 3))
    expected = torch.zeros(2)
    with torch.no_grad():
        for number, layer in enumerate(network):
            ours, theirs = layer(ours), layer(theirs)
            if weight := {22: 20, 32: 70, 42: 10}.get(number):
                expected += weight * F.l1_loss(ours, theirs, reduction="none").mean((1, 2, 3))
    torch.testing.assert_close(losses["loss_rgb"], rgb)
    torch.testing.assert_close(losses["loss_features"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(losses["loss"], rgb + expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_training_on_features_resumes_and_its_checkpoint_holds_no_vgg(vgg, tmp_path):
    for steps in (1, 2):
        task = build_task("rgb_colorization", {"features": str(vgg[0])})
        torch.manual_seed(0)
        network = build_network("deoldify", output="rgb", width=0.125)
        pretext.train(task, network, "sample", run_dir=tmp_path / "run", steps=steps, **SIZES)
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)
    assert state["step"] == 2
    assert state["task"] == {}


def test_a_file_of_other_features_is_refused_before_training(tmp_path):
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "vgg16.pth")
    task = build_task("rgb_colorization", {"features": str(tmp_path / "vgg16.pth")})
    network = build_network("deoldify", output="rgb", width=0.125)
    with pytest.raises(ValueError, match=r"vgg16.pth does not hold the weights of a VGG-16 with BatchNorm"):
        pretext.train(task, network, "sample", run_dir=tmp_path / "run", steps=1, **SIZES)
