"""`python -m layerflow_desktop`."""

import sys

from layerflow_desktop.app import main

sys.exit(main())
