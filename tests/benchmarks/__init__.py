"""What is measured, and what takes too long for every run of the suite."""
