"""What the configuration's sources become."""

from services.ingest.adapters.replay import Replay
from services.ingest.app import make_sources


def test_posted_events_have_no_source_of_their_own() -> None:
    """A room of `api` alone has nothing that could end; beside a recording only the recording is played."""
    assert make_sources([{"api": {}}]) == []
    both = make_sources([{"api": None}, {"replay": "a.jsonl"}])
    assert [type(source) for source in both] == [Replay]
