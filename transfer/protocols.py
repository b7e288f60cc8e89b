"""`transfer protocols`: the published protocols of all downstream tests."""

from collections.abc import Mapping

from pretext.spelling import unknown_name
from transfer.classification import ClassificationProtocol
from transfer.config import ProtocolsConfig
from transfer.detection.protocols import DETECTION_PROTOCOLS
from transfer.features.protocols import LINEAR_PROTOCOLS
from transfer.finetuning.protocols import FINETUNE_PROTOCOLS
from transfer.schedule import FrameworkProtocol
from transfer.segmentation.protocols import SEGMENTATION_PROTOCOLS

# Test -> its protocols by name, which are values of its key `protocol`.
PROTOCOLS: Mapping[str, Mapping[str, ClassificationProtocol | FrameworkProtocol]] = {
    "linear": LINEAR_PROTOCOLS,
    "finetune": FINETUNE_PROTOCOLS,
    "detect": DETECTION_PROTOCOLS,
    "segment": SEGMENTATION_PROTOCOLS,
}


def print_protocols(config: ProtocolsConfig) -> None:
    """Print the protocols of `config.tests`.

    Raises:
        ValueError: a test has no protocols to choose from.
    """
    for test in config.tests:
        if test not in PROTOCOLS:
            raise ValueError(unknown_name("test with protocols", test, PROTOCOLS))
    for test in config.tests or PROTOCOLS:
        print(f"transfer {test} --protocol")
        for name, protocol in PROTOCOLS[test].items():
            print(f"  {name}: {protocol.source}\n      {protocol.recipe()}")
            if protocol.differs:
                print(f"      differs: {protocol.differs}")
