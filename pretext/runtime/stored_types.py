"""The types beside tensors that checkpoints of training scripts hold, each opened as a stand-in.

Scripts save their options, scores and configurations with the weights. Nothing here needs them, so an object of a type
on this list is opened as an empty stand-in: neither its type's code nor that of its package runs or must be installed.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any


class _Record:
    """In place of an object with attributes or keys: a dictionary, as there may be weights among its values."""

    def __new__(cls, *_args: Any) -> Any:
        return OrderedDict()


class _Sequence:
    """In place of a sequence that is filled item by item."""

    def __new__(cls, *_args: Any) -> Any:
        return []


class _Value:
    """In place of any other object, and of the type itself."""

    def __init__(self, *_args: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


_RECORDS = """
    argparse.Namespace types.SimpleNamespace collections.defaultdict
    addict.addict.Dict easydict.EasyDict munch.Munch vissl.utils.hydra_config.AttrDict
    yacs.config.CfgNode fvcore.common.config.CfgNode detectron2.config.config.CfgNode
    mmcv.utils.config.ConfigDict mmengine.config.config.ConfigDict mmengine.logging.history_buffer.HistoryBuffer
    omegaconf.dictconfig.DictConfig omegaconf.listconfig.ListConfig omegaconf.base.ContainerMetadata
    omegaconf.base.Metadata omegaconf.nodes.AnyNode omegaconf.nodes.BooleanNode omegaconf.nodes.BytesNode
    omegaconf.nodes.EnumNode omegaconf.nodes.FloatNode omegaconf.nodes.IntegerNode omegaconf.nodes.PathNode
    omegaconf.nodes.StringNode omegaconf.base.UnionNode omegaconf.nodes.InterpolationResultNode
    pytorch_lightning.utilities.parsing.AttributeDict lightning.pytorch.utilities.parsing.AttributeDict
    lightning_fabric.utilities.data.AttributeDict lightning.fabric.utilities.data.AttributeDict
"""
_SEQUENCES = "collections.deque"
_VALUES = """
    builtins.bool builtins.dict builtins.float builtins.frozenset builtins.getattr builtins.int builtins.list
    builtins.range builtins.slice builtins.str builtins.tuple
    datetime.date datetime.datetime datetime.timedelta datetime.timezone functools.partial
    pathlib.Path pathlib.PosixPath pathlib.PurePath pathlib.PurePosixPath pathlib.PureWindowsPath pathlib.WindowsPath
    pathlib._local.PosixPath pathlib._local.WindowsPath
    typing.Any typing.Dict typing.List typing.Optional typing.Tuple typing.Union
    numpy.core.multiarray.scalar numpy.core.multiarray._reconstruct
    numpy._core.multiarray.scalar numpy._core.multiarray._reconstruct
    numpy.dtype numpy.ndarray numpy.bool numpy.bool_ numpy.float16 numpy.float32 numpy.float64
    numpy.int8 numpy.int16 numpy.int32 numpy.int64 numpy.uint8 numpy.uint16 numpy.uint32 numpy.uint64
    numpy.random._pickle.__randomstate_ctor numpy.random._pickle.__bit_generator_ctor numpy.random._mt19937.MT19937
    torch.torch_version.TorchVersion
    pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint
    pytorch_lightning.callbacks.early_stopping.EarlyStopping
"""

# As `torch.serialization.safe_globals` takes them.
STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (stand_in, name)
    for stand_in, names in ((_Record, _RECORDS), (_Sequence, _SEQUENCES), (_Value, _VALUES))
    for name in names.split()
]
