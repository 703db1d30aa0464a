"""Chunks with exact positions."""

from hypothesis import given
from hypothesis import strategies as st

from services.tts.core.chunks import Chunker, Piece


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """The bytes in parts of these sizes, then the rest."""
    parts: list[bytes] = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    return [*parts, data]


def run(chunker: Chunker, parts: list[bytes]) -> list[Piece]:
    return [piece for part in parts for piece in chunker.feed(part)] + chunker.close()


@given(
    st.binary(max_size=4_000),
    st.lists(st.integers(0, 700), max_size=30),
    st.integers(0, 900),
    st.integers(0, 900),
    st.integers(1, 30),
    st.integers(1, 60),
)
def test_any_cut_gives_the_same_sound(
    data: bytes, sizes: list[int], from_sample: int, base: int, first_ms: int, then_ms: int
) -> None:
    """However the bytes come, the chunks are the whole samples from `from_sample` on, without gap, each of its size."""
    rate = 8_000
    pieces = run(Chunker(first_ms, then_ms, from_sample, base=base, rate=rate), cut(data, sizes))
    start = max(0, from_sample - base)
    assert b"".join(piece.pcm for piece in pieces) == data[: len(data) - len(data) % 2][start * 2 :]
    position = max(from_sample, base)
    for number, piece in enumerate(pieces):
        assert (piece.number, piece.offset) == (number, position)
        size = (then_ms if number else first_ms) * rate // 1_000
        assert len(piece.pcm) == size * 2 or (piece is pieces[-1] and 0 < len(piece.pcm) < size * 2)
        position += len(piece.pcm) // 2


def test_sizes_on_air() -> None:
    """The first chunk is 80 ms, later ones 200 ms, the last what is left."""
    pieces = run(Chunker(), [bytes(24_000)])
    assert [len(piece.pcm) // 48 for piece in pieces] == [80, 200, 200, 20]


def test_a_chunk_leaves_as_soon_as_it_is_complete() -> None:
    """No chunk waits for bytes that come after it."""
    chunker = Chunker()
    assert chunker.feed(bytes(80 * 48 - 1)) == []
    assert [piece.number for piece in chunker.feed(b"\0")] == [0]
    assert chunker.position == 80 * 24
    assert chunker.close() == []
