"""Run `gemel run` for real and draw what it printed as docs/run.svg: python docs/make_run_svg.py [PROMPT]."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

MODEL = "smollm2-135m-instruct"
PROMPT = "Explain in two sentences why the sky is blue."


def main() -> None:
    """Run the command, record its output in a drawn terminal, write the picture."""
    prompt = sys.argv[1] if len(sys.argv) > 1 else PROMPT
    command = [sys.executable, "-m", "gemel_native", "run", MODEL, prompt, "--temperature", "0", "-n", "80"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    console = Console(record=True, width=96, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    console.print(Text("$ ", style="bold green") + Text(f'gemel run {MODEL} "{prompt}"', style="bold"))
    console.print(Text(done.stdout.rstrip()))
    console.print(Text(done.stderr.rstrip(), style="dim"))
    picture = console.export_svg(title="gemel", unique_id="gemel")
    local = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # the reader's own fonts: nothing is fetched
    (Path(__file__).parent / "run.svg").write_text(local)


if __name__ == "__main__":
    main()
