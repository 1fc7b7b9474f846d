"""Reading a deployment's files: what Dagster raises there becomes one sentence for the person who wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import yaml

from pipelines.delivery.errors import ConfigurationError, PipelinesError


@contextmanager
def readable() -> Iterator[None]:
    """Turn the errors of reading files into ours; an error in a user's Python keeps its stack trace.

    Raises:
        ConfigurationError: the files cannot be used; it names the file, and where possible the line and the field.
    """
    try:
        yield
    except PipelinesError:
        raise
    except Exception as error:
        causes = list(_causes(error))
        ours = next((one for one in causes if isinstance(one, PipelinesError)), None)
        if ours is not None:
            raise type(ours)(ours.what, do=ours.do, **ours.facts) from error
        theirs = next((one for one in reversed(causes) if isinstance(one, yaml.YAMLError | dg.DagsterError)), None)
        if theirs is None:
            raise
        raise ConfigurationError(" ".join(str(theirs).split()), do="Correct the file.") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
