"""`gemel serve` and `gemel demo`: gemel_web's app in a process of this machine, under uvicorn.

serve.py, demo.py, client.py, remote.py and options.py need none of the packages that the extra `serve` installs; all
else imports them.
"""

from __future__ import annotations
