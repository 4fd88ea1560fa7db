"""`python -m criserver` is the command `criserver`."""

import sys

from criserver.cli import main

sys.exit(main())
