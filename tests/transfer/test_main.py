import subprocess
import sys

HELP_OF_EVERY_COMMAND = """
import sys
from transfer.__main__ import COMMANDS, main
for name in COMMANDS:
    sys.argv = ["transfer", name, "--help"]
    try:
        main()
    except SystemExit as done:
        assert done.code == 0
assert "torch" not in sys.modules, "torch was imported"
"""


def test_help_of_every_command_does_not_import_torch():
    result = subprocess.run([sys.executable, "-c", HELP_OF_EVERY_COMMAND], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for key in ("--backbone.model", "--learning_rates", "--shots", "--train_from", "--out"):
        assert key in result.stdout
