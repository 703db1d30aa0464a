"""`onair up` and `onair tavus` together: what was created is ended when the house is shut."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.gateway.tavus import KEY, serving

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]


def test_the_end_of_onair_up_ends_what_it_created(tmp_path: Path) -> None:
    """Ctrl-C ends the conversation within the five seconds of every stop; the gateway is found by its folder."""
    onair = (sys.executable, "-m", "onair")
    with serving() as tavus:
        env = {**os.environ, "TAVUS_API_KEY": KEY, "TAVUS_BASE_URL": tavus.url, "OPENAI_API_KEY": ""}
        up = (*onair, "up", "--port", "0", "--data", str(tmp_path))
        with (
            (tmp_path / "err").open("w") as err,
            subprocess.Popen(up, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=err, text=True) as process,
        ):
            try:
                assert process.stdout
                assert process.stdout.readline().startswith("ready "), (tmp_path / "err").read_text()
                create = (*onair, "tavus", "conversation", "create", "--persona", "p1", "--data", str(tmp_path))
                made = subprocess.run(create, cwd=ROOT, env=env, capture_output=True, text=True, check=True, timeout=60)
                assert made.stdout == f"https://tavus.daily.co/{tavus.active[0]}\n"
                began = time.monotonic()
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 130
                assert time.monotonic() - began < 5
            finally:
                process.terminate()
        assert tavus.active == []
        assert tavus.ends() == 1
    logs = [path.read_text(encoding="utf-8") for path in (tmp_path / "logs").iterdir()]
    assert any("ended what was created at Tavus" in log for log in logs)
    assert not any(KEY in log for log in logs)
