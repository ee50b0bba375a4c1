"""``python -m polylect``: what torchrun starts."""

import sys

from polylect.cli import main

sys.exit(main())
