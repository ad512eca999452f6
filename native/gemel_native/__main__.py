"""`python -m gemel_native` runs the command `gemel`."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
