"""How upserts get to an API, knowing none of them: plan, ledger, sender, HTTP port, pace, retries, outcomes, errors."""
