"""A probe of one's own: `--probes '[{name: health, every: 100, probe: "myprobes:DeadChannels"}]'`."""

import torch

from pretext import Backbone, Probe


class DeadChannels(Probe):
    """The share of the channels of each stage that are 0 everywhere, in percent."""

    ylabel = "dead channels (%)"

    def __init__(self, size: int = 64) -> None:
        self.size = size

    @torch.inference_mode()
    def measure(self, network: Backbone) -> dict[str, float]:
        noise = torch.rand(8, 3, self.size, self.size, device=next(network.parameters()).device)
        maps = network.eval().forward_stages(network.see(noise), network.stages)
        return {stage: 100 * (of == 0).all(dim=(0, 2, 3)).float().mean().item() for stage, of in maps.items()}
