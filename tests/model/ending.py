"""What must hold when everybody is done."""

from services.contract.ingest import TurnAired, TurnDropped
from services.contract.message import Message
from tests.model.listener import Listener
from tests.model.workers import Plan
from tests.model.world import World


def check_end(world: World) -> None:
    """Run everything to its end and look at what is left."""
    world.drain()
    if world.room and world.airing and world.airing.turn not in aired_in_order(world.log):
        world.air(world.airing)
        world.drain()
    for plan in world.plans.values():
        check_turn(world, plan)
    for listener in world.listeners:
        world.pull(listener)
    expected = [turn for turn in aired_in_order(world.log) if current(world, turn)]
    for listener in world.listeners:
        if listener.whole:
            assert [turn for turn in listener.closed if current(world, turn)] == expected, "an aired turn never ends"
            for turn in expected:
                check_heard(world, listener, world.plans[turn])
    first, *rest = [listener.sound for listener in world.listeners if listener.whole] or [[]]
    assert all(sound == first for sound in rest), "two readers hear different things"
    check_next(world)


def current(world: World, turn: str) -> bool:
    """Neither interrupted nor dropped."""
    epoch = world.ground.run(world.ground.work.epoch(world.session))
    return world.plans[turn].request.epoch == epoch and turn not in world.dropped


def aired_in_order(log: list[Message]) -> list[str]:
    """Turns whose airing counts: no turn of a higher number was aired before, it was not interrupted or dropped."""
    last, epoch, aired, dropped = 0, 0, list[str](), set[str]()
    for message in log:
        epoch = max(epoch, getattr(message, "epoch", 0))
        if isinstance(message, TurnDropped):
            dropped.add(message.turn)
        if isinstance(message, TurnAired) and message.turn not in dropped and message.no > last:
            last = max(last, message.no if message.epoch == epoch else 0)
            aired += [message.turn] if message.epoch == epoch else []
    return aired


def check_turn(world: World, plan: Plan) -> None:
    """The turn has ended on work: everything of it is decided, and nothing of it is left to do."""
    answer = world.ground.run(world.ground.work.answer(plan.turn))
    dead = world.ground.run(world.ground.dead(plan.turn))
    assert list(answer.sentences) == list(range(world.said[plan.turn])), "not what was said"
    assert answer.count in {None, world.said[plan.turn]}, "not what was counted"
    assert world.ended(plan.turn), "the turn never ends"
    assert len(dead) == len(set(dead)), "dead twice"
    for index, end in answer.spoken.items():
        assert end.startswith("spoken:") == ((plan.turn, index) in world.spoken), "another end"
        assert not (end.startswith("spoken:") and str(index) in dead), "dead and spoken"


def check_heard(world: World, listener: Listener, plan: Plan) -> None:
    """The reader heard the turn as work says it was spoken."""
    answer = world.ground.run(world.ground.work.answer(plan.turn))
    assert listener.closed[plan.turn] == answer.count
    for index, end in answer.spoken.items():
        samples, reason = listener.over[plan.turn, index]
        if end.startswith("spoken:"):
            assert (f"spoken:{samples}", reason) == (end, ""), "not heard as it was spoken"


def check_next(world: World) -> None:
    """Whatever was lost: the next turn is heard by everybody who follows, wholly."""
    if not world.room:
        world.interrupt()
        world.drain()
    plan = world.ask((3, 2))
    if world.room:
        assert world.clear(but=plan.turn), "the floor is never clear"
        world.air(plan)
    world.drain()
    for stream in world.streams:
        assert world.ground.run(world.ground.length(stream)) == 0, "work is left"
        assert not world.pending(stream), "work is pending"
    for listener in world.listeners:
        world.pull(listener)
        assert plan.turn in listener.closed, "the next turn is not heard"
        check_heard(world, listener, plan)
