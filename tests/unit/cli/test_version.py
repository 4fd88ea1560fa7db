import subprocess
import sys

import criserver


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "criserver", "version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"criserver {criserver.__version__}\n"
