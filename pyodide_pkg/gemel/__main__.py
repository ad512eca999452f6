"""`python -m gemel` is the command `gemel`, where the desktop's package is installed."""

import sys
from importlib.metadata import entry_points

if __name__ == "__main__":
    for script in entry_points(group="console_scripts", name="gemel"):
        sys.exit(script.load()())
    sys.exit("error: the command gemel is part of the desktop's package, which is not installed: pip install gemel")
