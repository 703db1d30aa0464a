"""How llm is put together, and what it says when it cannot be."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.contract.failure import Code, Failure
from services.llm import settings
from services.llm.adapters.openai import OpenAIModel
from services.llm.adapters.scripted import ScriptedModel
from services.llm.app import build, make_model
from services.llm.settings import Settings
from services.runtime.config import Config
from services.runtime.settings import Common


def config(**llm: dict[str, str]) -> Config:
    return Config.model_validate({"engines": {"llm": llm}})


def made(llm: Config, key: str = "", base_url: str = "") -> Settings:
    return Settings(Common(service="llm"), llm, key, base_url)


def test_without_a_key_or_an_address_answers_are_scripted() -> None:
    """And where a model was configured, the log says what is missing."""
    assert isinstance(make_model(made(config())), ScriptedModel)
    with capture_logs() as logs:
        assert isinstance(make_model(made(config(openai={"model": "m"}))), ScriptedModel)
    assert "OPENAI_API_KEY" in logs[0]["event"]
    assert isinstance(make_model(made(config(scripted={}), key="k")), ScriptedModel)


async def test_a_key_or_an_address_makes_a_model() -> None:
    """Either is enough; a model without a name is a fault of the configuration."""
    for model in (
        make_model(made(config(openai={"model": "m"}), "k")),
        make_model(made(config(openai={"model": "m"}), "", "http://x")),
    ):
        assert isinstance(model, OpenAIModel)
        await model.close()
    with pytest.raises(Failure, match=r"engines\.llm\.openai\.model") as raised:
        make_model(made(config(), "k"))
    assert raised.value.code is Code.BAD_CONFIG


async def test_the_service_is_put_together() -> None:
    """It reads turns, watches its model and closes it."""
    service = build(made(config()))
    assert service.delivery is not None
    assert list(service.warns) == ["model scripted"]
    assert not service.checks
    for close in [*service.closers, service.bus.close]:
        await close()


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    path = tmp_path / "onair.yaml"
    path.write_text("engines: {llm: {openai: {model: m, base_url: 'http://configured/v1'}}}\n", encoding="utf-8")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LLM_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ONAIR_CONFIG", str(path))
    return monkeypatch


def test_the_environment_wins(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Key from a file, address and workers from the environment, else from the configuration or the default."""
    found = settings.read()
    assert (found.key, found.base_url, found.workers) == ("", "http://configured/v1", 4)
    (tmp_path / "key").write_text("secret-key\n", encoding="utf-8")
    environment.setenv("OPENAI_API_KEY_FILE", str(tmp_path / "key"))
    environment.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
    environment.setenv("LLM_WORKERS", "9")
    found = settings.read()
    assert (found.key, found.base_url, found.workers) == ("secret-key", "http://127.0.0.1:11434/v1", 9)


def test_an_address_that_is_none_is_told(environment: pytest.MonkeyPatch) -> None:
    """With an example of a right one."""
    environment.setenv("OPENAI_BASE_URL", "localhost:11434")
    with pytest.raises(Failure, match="http://127"):
        settings.read()
