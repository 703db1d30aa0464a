"""How long a silence must be until it ends what the caller says: long enough not to cut in, no longer.

Half a second suits most people most of the time. Three things are known that say more:

* **The speaker's own pauses.** Who stopped for a while and went on will do so again: the wait is a fifth longer than the
  second longest of the last pauses after which speech came back. One outlier alone changes nothing. A pause after
  which he went on though the turn had been ended counts too: there the wait was too short.
* **The words so far**, where the engine tells them while they are spoken. After a full stop or a Chinese final particle
  nothing more is expected; after `and`, `the`, `因为` or a comma a sentence cannot be over.
* **The length.** Who spoke for a quarter of a minute has said what he wanted to say.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_MS, DEFAULT_MS, MOST_MS = 300, 500, 1_500
"""Below the first, a stop consonant would end a turn; above the last, a caller thinks that nobody listens."""
PAUSE_MS = 200
"""A shorter silence is part of a word."""
RESUMED_MS = 600
"""Who goes on so soon after his turn was ended had not ended: an answer is not heard before."""
PAUSES = 8
"""So many pauses are remembered: a speaker changes his pace."""
LONG_MS = 15_000
_END = 40
"""Characters of a text that tell how it ends."""
_MARGIN, _FINISHED, _UNFINISHED, _LONG = 1.2, 0.6, 1.6, 0.7
_OVER = re.compile(r"(?:[。！？!?.…]|[吗呢吧])[\"'”’」』]*\s*$")
_OPEN = re.compile(
    r"(?:[，、,:：;；—-]|然后|但是|因为|所以|就是|那个|还有|如果|或者|而且|[嗯呃和跟]"
    r"|\b(?:and|but|or|so|because|if|the|a|an|to|of|in|on|at|for|with|my|your|is|are|um|uh|well|like|then))\s*$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Rule:
    """What the configuration says."""

    end_of_turn_ms: int = DEFAULT_MS
    adaptive: bool = True


def wait_ms(rule: Rule, pauses: Sequence[int], text: str, spoken_ms: int) -> int:
    """Milliseconds of silence that end the utterance: `end_of_turn_ms` as it is, or adapted within 300 to 1500.

    `pauses`: those after which the speaker went on, in milliseconds; `text`: the words so far, '' if they are not known.
    """
    if not rule.adaptive:
        return rule.end_of_turn_ms
    usual = sorted(pauses)[-2] * _MARGIN if len(pauses) > 1 else 0.0
    wait = max(rule.end_of_turn_ms, usual)
    end = text[-_END:]
    if _OVER.search(end):
        wait *= _FINISHED
    elif _OPEN.search(end):
        wait *= _UNFINISHED
    if spoken_ms >= LONG_MS:
        wait *= _LONG
    return round(min(MOST_MS, max(LEAST_MS, wait)))
