"""What child processes of the tests need."""

import os
from pathlib import Path

_SUPPORT = str(Path(__file__).parent / "support")
# Scripts that a test starts import the support modules as the test itself does.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [_SUPPORT, *filter(None, [os.environ.get("PYTHONPATH", "")])]
)
