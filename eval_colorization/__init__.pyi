from .config import MethodConfig as MethodConfig
from .evaluation import evaluate as evaluate
from .metrics.metric import Metric as Metric
from .metrics.metric import Pictures as Pictures
from .report.write import write_report as write_report
from .results import Results as Results
