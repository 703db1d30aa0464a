"""Writes `examples/`: a spoken clip, and texts for each service. The same bytes every time: espeak-ng speaks them in a new process."""

import asyncio
from pathlib import Path

from services.asr.adapters.soxr import resample
from services.contract.tts import AIR_RATE
from services.runtime.sound import write_wav
from services.tts.adapters.espeak import Espeak
from services.tts.core.ports import Voice

EXAMPLES = Path(__file__).parent.parent / "examples"
CLIP = "what is the weather today"
CLIP_RATE = 16_000
PAUSE_MS = 400
TEXTS = {
    "say-zh.txt": "大家好，欢迎来到直播间！\n谢谢你的醒目留言，我们一起加油吧。\n今天我们来聊聊 machine learning，好不好？\n",
    "say-en.txt": (
        "Hello everyone, welcome to the stream!\n"
        "Thank you so much for the super chat.\n"
        "Shall we talk about the weather today?\n"
    ),
    "ask.txt": "What shall I cook tonight? I have rice and three eggs.\n",
    "teacher.txt": (
        "You teach spoken English to one student. Correct every mistake, say the right sentence in full, and end with one\n"
        'question. Put everything that you say aloud between ASCII double quotes (").\n'
    ),
    "chat.json": '{"msg": [{"role": "user", "content": "你好呀！今天过得怎么样？"}]}\n',
    "events.jsonl": (
        '{"kind": "danmaku", "text": "主播好呀", "viewer": {"name": "小明"}}\n'
        '{"kind": "super_chat", "text": "唱首歌吧！", "viewer": {"name": "阿月"}, "amount_fen": 3000}\n'
        '{"kind": "say", "text": "马上回来！", "viewer": {"name": "operator"}}\n'
    ),
}


async def spoken(text: str) -> bytes:
    """The text in espeak's American voice, s16le mono at `AIR_RATE`."""
    engine = Espeak()
    pieces = [pcm async for pcm in engine.speak(text, Voice("example", {"voice": "en-us"}), "")]
    await engine.close()
    return b"".join(pieces)


def main() -> None:
    """Write all examples."""
    EXAMPLES.mkdir(exist_ok=True)
    for name, text in TEXTS.items():
        (EXAMPLES / name).write_text(text, encoding="utf-8")
    pause = bytes(CLIP_RATE * PAUSE_MS // 1_000 * 2)
    clip = resample(asyncio.run(spoken(CLIP)), AIR_RATE, CLIP_RATE)
    (EXAMPLES / "weather-en.wav").write_bytes(write_wav(pause + clip + pause * 2, CLIP_RATE))
    print(*sorted(path.name for path in EXAMPLES.iterdir()), sep="\n")


if __name__ == "__main__":
    main()
