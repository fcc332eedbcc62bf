"""`python -m percolate_rocks`: the command `percolate`."""

from __future__ import annotations

import sys

from ._cli import main

if __name__ == "__main__":
    sys.exit(main())
