"""``python -m tests.bench``: every figure beside its reference, measured in this run.

``python -m tests.bench --help`` names the options.  The machine should be idle otherwise.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from pathlib import Path

from tests.bench.figures import ALL, MIB, Figure, Setting


def show(figure: Figure) -> str:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f} ×"
    verdict = "met" if figure.met else "MISSED"
    return (
        f"{figure.name:<46} {figure.measured:>15}  {ratio:>7}  wanted {figure.wanted:<10} "
        f"{verdict:<7} {figure.reference}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"what to measure, of: {', '.join(ALL)}")
    parser.add_argument("--quick", action="store_true", help="a short run: breakage, not figures")
    parser.add_argument("--directory", type=Path, help="where data goes (default: a temporary one)")
    options = parser.parse_args()
    unknown = set(options.names) - set(ALL)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="bleepstore-bench-", dir=options.directory) as name:
        directory = Path(name)
        if options.quick:
            setting = Setting(directory, 0.5, 2, 64 * MIB, 20_000, 4, 12_000)
        else:
            setting = Setting(directory)
        print(f"Python {platform.python_version()}, {platform.platform()}", flush=True)
        met = True
        for chosen in options.names or ALL:
            for figure in ALL[chosen](setting):
                print(show(figure), flush=True)
                met = met and figure.met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
