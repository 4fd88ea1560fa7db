"""Starts criserver from the directory that this file is in, with the packages that lie beside it and no others."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from criserver.cli.main import main

sys.argv[0] = "criserver"
sys.exit(main())
