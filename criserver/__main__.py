"""`python -m criserver` is the command `criserver`."""

import sys

from criserver.cli.main import main

sys.exit(main())
