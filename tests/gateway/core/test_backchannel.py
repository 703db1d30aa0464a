"""What is no interruption."""

import pytest

from services.gateway.core.backchannel import Backchannels
from services.runtime.words import BACKCHANNELS

KNOWN = Backchannels(BACKCHANNELS)


@pytest.mark.parametrize(
    "text", ["嗯", "嗯。", "嗯嗯", "对对对", "好的，好的！", "Uh-huh", "Yeah.", "I see", "Mm, right", "嗯 OK", "yes."]
)
def test_back_channels(text: str) -> None:
    """Alone or up to three in a row, of any language, however they are punctuated."""
    assert KNOWN.only(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "…",
        "等一下",
        "嗯等一下",
        "对不起",
        "好吃吗",
        "yesterday",
        "ok stop",
        "right now",
        "对对对对对对对",
        "Yeah but no",
        "是谁",
    ],
)
def test_talk(text: str) -> None:
    """Nothing, words that only begin like one, more than three, anything besides."""
    assert not KNOWN.only(text)


def test_without_words_everything_is_talk() -> None:
    """An empty list, or one of marks, knows none."""
    assert not Backchannels({}).only("嗯")
    assert not Backchannels({"zh": ["，"]}).only("嗯")
