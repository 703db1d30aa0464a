"""The puppet that needs nothing."""

from prometheus_client import REGISTRY

from services.avatar.adapters.scripted import HISTORY, Scripted
from services.contract.avatar import Posed


def shown(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"room": "stage", **labels})


async def test_the_scripted_puppet_remembers_how_it_stood() -> None:
    """The newest pose, a bounded history, and figures for whoever watches."""
    puppet = Scripted("stage")
    assert (puppet.name, await puppet.check(), puppet.newest) == ("scripted", "", None)
    for number in range(HISTORY + 1):
        await puppet.pose(Posed(at_ms=number, mouth=0.25))
    await puppet.pose(Posed(at_ms=HISTORY + 1, mouth=0.5, expression="happy"))
    await puppet.close()
    assert puppet.newest == Posed(at_ms=HISTORY + 1, mouth=0.5, expression="happy")
    assert (len(puppet.history), puppet.history[0].at_ms) == (HISTORY, 2)
    assert shown("onair_puppet_mouth") == 0.5
    assert shown("onair_puppet_poses_total") == HISTORY + 2
    assert shown("onair_puppet_expression_changes_total") == 2
    assert shown("onair_puppet_expression", expression="happy") == 1
    assert shown("onair_puppet_expression", expression="neutral") == 0
