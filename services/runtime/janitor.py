"""Consumers that are gone: each process reads under names of its own, so a group collects those of processes that ended.

A consumer is deleted only while it holds nothing, and in the same script that looks: to delete one that holds an entry
would lose the entry. A reader asks at least once in `BLOCK_MS`, so whoever has not asked for long is gone; were it only
asleep, its next read makes its name again.
"""

from collections.abc import Iterable

import structlog
from redis.exceptions import ResponseError

from services.runtime.work import Work

log = structlog.get_logger(__name__)
EVERY_S = 60.0
GONE_MS = 10 * 60_000


async def sweep(work: Work, groups: Iterable[tuple[str, str]], idle_ms: int = GONE_MS) -> int:
    """Delete the consumers of these (stream, group) that are gone; how many. Raises redis errors as they are."""
    swept = 0
    for stream, group in groups:
        try:
            swept += await work.sweep(stream, group, idle_ms)
        except ResponseError as error:
            if "NOGROUP" not in str(error) and "no such key" not in str(error):
                raise  # a group that was lost is made again by its readers
    if swept:
        log.info("forgot consumers that are gone", consumers=swept)
    return swept
