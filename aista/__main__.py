"""``python -m aista``: the ``aista`` command, e.g. under ``torchrun -m``."""

import sys

from aista.cli.main import main

sys.exit(main())
