"""How good the colours of colorizations are: the public interface, which is imported when it is used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval_colorization.config import MethodConfig
    from eval_colorization.evaluation import evaluate
    from eval_colorization.metrics.metric import Metric, Pictures
    from eval_colorization.report.write import write_report
    from eval_colorization.results import Results

__all__ = ["MethodConfig", "Metric", "Pictures", "Results", "evaluate", "write_report"]

_MODULES = {
    "MethodConfig": "eval_colorization.config",
    "Metric": "eval_colorization.metrics.metric",
    "Pictures": "eval_colorization.metrics.metric",
    "Results": "eval_colorization.results",
    "evaluate": "eval_colorization.evaluation",
    "write_report": "eval_colorization.report.write",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
