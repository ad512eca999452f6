"""Write which side module the package loads by itself: library.py OUT."""

import sys
from pathlib import Path

import gemel

Path(sys.argv[1]).write_text(f"{Path(gemel.library_path()).name} {' '.join(gemel.isas())}")
