"""Say what can be run, and where the documentation is: `python -m sessiondex`."""

from __future__ import annotations

import argparse
import sys

from sessiondex import __version__

HELP = """\
Keep conversation sessions in memory and find them fast: a library for asyncio services.

what can be run:
  python -m asyncio             a console for the snippets of the documentation
  python -m sessiondex.example  an example service; needs pip install "sessiondex[example]"

documentation: https://sessiondex.github.io/sessiondex/
source:        https://github.com/sessiondex/sessiondex
"""


def main() -> None:
    """Print the help, or the version."""
    parser = argparse.ArgumentParser(
        prog="python -m sessiondex",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sessiondex {__version__}")
    parser.parse_args(sys.argv[1:] or ["--help"])


if __name__ == "__main__":
    main()
