"""`python -m tests.benchmarks NAME [options]`: the figures are one JSON object, the last line of standard output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from tests.benchmarks.parts.machine import about_machine
from tests.benchmarks.registry import found


def main(argv: Sequence[str] | None = None) -> None:
    """Run one benchmark and print its figures."""
    benchmarks = found()
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    subparsers = parser.add_subparsers(dest="benchmark", required=True)
    for name, benchmark in benchmarks.items():
        words = (benchmark.__doc__ or "").partition("\n")[0]
        one = subparsers.add_parser(
            name, help=words, description=words, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        benchmark.add_arguments(one)
    arguments = parser.parse_args(argv)
    machine = about_machine()
    figures = benchmarks[arguments.benchmark].run(arguments)
    print(json.dumps({"benchmark": arguments.benchmark, "machine": machine, **figures}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
