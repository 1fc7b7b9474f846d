"""What comes in: sources, contracts and quarantine, catalogues, the partition store. No Dagster, no API."""
