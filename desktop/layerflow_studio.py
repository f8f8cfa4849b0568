"""What `pyside6-deploy` makes a program of; it wants a file, and not a package."""

import sys

from layerflow_desktop.app import main

sys.exit(main())
