"""What the product costs, measured as ratios within one run: `python -m tests.benchmarks NAME`; see README.md."""
