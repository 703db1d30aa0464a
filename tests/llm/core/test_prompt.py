"""What the model is told."""

from services.llm.core.prompt import GO_ON, QUOTED, Persona, build, system

HOST = Persona("你是主播。", "zh")


def test_our_history_stands_between_persona_and_ask() -> None:
    """The persona first, what was said before, the ask last."""
    messages = build(HOST, "唱首歌", history=[("user", "你好"), ("assistant", "嗨")])
    assert messages == [("system", "你是主播。"), ("user", "你好"), ("assistant", "嗨"), ("user", "唱首歌")]


def test_neighbours_of_one_role_are_joined() -> None:
    """What was asked and never answered goes with the next question: roles take turns."""
    messages = build(HOST, "在吗", history=[("user", "你好"), ("assistant", "嗨"), ("assistant", "！"), ("user", "喂")])
    assert messages[1:] == [("user", "你好"), ("assistant", "嗨\n！"), ("user", "喂\n在吗")]


def test_a_leading_system_message_of_the_client_is_honoured() -> None:
    """The client's own persona takes the place of ours, and its history that of the session."""
    own = (("system", "你是猫。"), ("user", "你好"))
    assert build(HOST, "你好", history=[("user", "x")], own=own) == list(own)


def test_without_a_system_message_ours_is_put_in_front() -> None:
    """The ask is added where the client's history does not end with it; strange roles count as the user's."""
    own = (("user", "一"), ("tool", "二"), ("assistant", ""))
    assert build(HOST, "三", own=own) == [("system", "你是主播。"), ("user", "一"), ("user", "二"), ("user", "三")]
    assert build(HOST, "", own=()) == [("system", "你是主播。")]


def test_an_empty_persona_says_nothing() -> None:
    """No empty system message is sent."""
    assert build(Persona(""), "hi") == [("user", "hi")]


def test_an_answer_that_was_begun_is_gone_on_with() -> None:
    """What was spoken already is the assistant's, followed by the order to go on, in the persona's language."""
    assert build(HOST, "讲", said="从前，")[-2:] == [("assistant", "从前，"), ("system", GO_ON["zh"])]
    assert build(Persona("You host.", "en"), "go", said="Once")[-1] == ("system", GO_ON["en"])


def test_the_system_message_says_what_is_spoken_and_which_tags_there_are() -> None:
    """In quoted mode the model is told to quote its speech; the voice's emotions are listed."""
    told = system(Persona("You host.", "en", quoted=True, emotions=("happy", "calm")))
    assert told.splitlines()[:2] == ["You host.", QUOTED["en"]]
    assert "[happy] [calm]" in told
    assert QUOTED["zh"] in system(Persona("", "zh-CN", quoted=True))
