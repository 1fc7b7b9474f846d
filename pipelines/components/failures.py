"""The one place where an error becomes Dagster's `Failure`.

Dagster's own retries stay off for all of them: requests were already retried where that is right, and a step's retry
would repeat the whole range.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg

from pipelines.delivery.errors import PipelinesError

FAILED = "failed_partitions"
PASSING = "failed_for_now"
"""In a failure's metadata: the partitions that failed with their reasons, and those that a later try may mend."""
_NAMED = 10


def failed_partitions(what: str, reasons: Mapping[str, str], do: str, passing: Collection[str] = ()) -> dg.Failure:
    """Some partitions failed, those in `passing` for a reason that may pass by itself; the others stay green."""
    listed = [f"{partition}: {reason}" for partition, reason in sorted(reasons.items())]
    more = f"\n… and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    sentence = f"{what}: {len(listed)} partition(s) failed.\n" + "\n".join(listed[:_NAMED]) + more + f"\n{do}"
    return dg.Failure(
        description=sentence,
        metadata={
            FAILED: dg.MetadataValue.json(dict(sorted(reasons.items()))),
            PASSING: dg.MetadataValue.json(sorted(passing)),
        },
        allow_retries=False,
    )


def failed(error: PipelinesError, partitions: Collection[str] = (), *, passing: bool = False) -> dg.Failure:
    """The whole run failed, with all its partitions, for a reason that a person can act on, or that may pass."""
    listed: dict[str, dg.MetadataValue[Any]] = {
        FAILED: dg.MetadataValue.json(sorted(partitions)),
        PASSING: dg.MetadataValue.json(sorted(partitions) if passing else []),
    }
    return dg.Failure(description=str(error), metadata=listed if partitions else {}, allow_retries=False)
