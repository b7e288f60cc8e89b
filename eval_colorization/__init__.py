"""Measure and show how good the colours of colorizations are.

results = evaluate({"mine": colorizer, "theirs": "folder/of/pictures"}, "photographs/")
write_report(results, "reports/mine")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval_colorization.config import MethodConfig as MethodConfig
    from eval_colorization.evaluation import evaluate as evaluate
    from eval_colorization.metrics.metric import Metric as Metric
    from eval_colorization.metrics.metric import Pictures as Pictures
    from eval_colorization.report.write import write_report as write_report
    from eval_colorization.results import Results as Results

# Public name -> its module, imported at the first use: torch takes seconds.
_PUBLIC = {
    "evaluate": "eval_colorization.evaluation",
    "write_report": "eval_colorization.report.write",
    "Results": "eval_colorization.results",
    "MethodConfig": "eval_colorization.config",
    "Metric": "eval_colorization.metrics.metric",
    "Pictures": "eval_colorization.metrics.metric",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
