"""The one place where an error becomes Dagster's `Failure`.

Dagster's own retries stay off for all of them: requests were already retried where that is right, and a step's retry
would repeat the whole range.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from pipelines.delivery.errors import PipelinesError

_NAMED = 10


def failed_partitions(what: str, reasons: Mapping[str, str], do: str) -> dg.Failure:
    """Some partitions failed; the others of the run are done and stay green."""
    listed = [f"{partition}: {reason}" for partition, reason in sorted(reasons.items())]
    more = f"\n… and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    sentence = f"{what}: {len(listed)} partition(s) failed.\n" + "\n".join(listed[:_NAMED]) + more + f"\n{do}"
    return dg.Failure(
        description=sentence,
        metadata={"failed_partitions": dg.MetadataValue.json(dict(sorted(reasons.items())))},
        allow_retries=False,
    )


def failed(error: PipelinesError) -> dg.Failure:
    """The whole run failed, for a reason that a person can act on."""
    return dg.Failure(description=str(error), allow_retries=False)
