"""`transfer segment` without dropout, whose random numbers are another process's own: run by the tests."""

import sys

from pretext.runtime.command_line import parse_config
from transfer.segmentation.config import SegmentConfig
from transfer.segmentation.protocols import SegmentationProtocol
from transfer.segmentation.run import run as segment

if __name__ == "__main__":
    SegmentationProtocol.dropout = 0.0
    segment(parse_config("segment", SegmentConfig, sys.argv[1:]))
