"""What waits for an answer, in three lanes, and what of it is next."""

from collections.abc import Iterable
from dataclasses import replace

from services.contract.ingest import Decided, Kind, Lane, LiveEvent
from services.ingest.core.items import Choice, Item, Recent
from services.ingest.core.policy import Policy

_SUMMARY = ":combo:"
"""Part of the id of a platform's summary of a combo."""


class Lanes:
    """What waits in one room. Every method that lets go of an event says so in a `Decided`."""

    def __init__(self, policy: Policy, room: str) -> None:
        self._policy = policy
        self._room = room
        self._lanes: dict[Lane, dict[tuple[str, ...], Item]] = {Lane.PAID: {}, Lane.CHAT: {}, Lane.WELCOME: {}}
        self._seen = {lane: Recent(policy.seen_ids) for lane in Lane}
        self._combos = Recent(policy.seen_ids)
        self._withdrawn = Recent(policy.seen_ids)
        self._topics = 0

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes.values())

    def waiting(self, lane: Lane) -> tuple[Item, ...]:
        """What waits in this lane, the oldest first."""
        return tuple(sorted(self._lanes[lane].values(), key=_age))

    def remember(self, event: LiveEvent) -> None:
        """Know this event of the past, so that it is not taken again and what it took back stays so."""
        self._seen[event.lane].add(event.id)
        self._combos.add(event.combo)
        for id_ in event.withdraws:
            self._withdraw(id_)

    def is_withdrawn(self, item: Item) -> bool:
        """Whether the platform took back one of its events."""
        return any(id_ in self._withdrawn for id_ in item.ids)

    def is_stale(self, item: Item, now_ms: int) -> bool:
        """Whether it is too old to be answered at that time. What was paid for never is."""
        return item.lane is not Lane.PAID and now_ms - item.since_ms > self._limit_ms(item.lane)

    def paid_waits(self, now_ms: int) -> bool:
        """Whether something paid could be answered now."""
        return any(self._is_ready(item, now_ms) for item in self._lanes[Lane.PAID].values())

    def chat_waits(self, now_ms: int) -> bool:
        """Whether a comment could be answered now."""
        return bool(self._ready(Lane.CHAT, now_ms))

    def add(self, event: LiveEvent, now_ms: int) -> list[Decided]:
        """Let it wait; what was merged, dropped or withdrawn by that. What was paid for makes way for nothing.

        A viewer whom the platform masks (empty id) is nobody in particular: his gifts are not merged. The summary of a
        combo is dropped if a gift of it was seen: it is the same money a second time.
        """
        if not self._seen[event.lane].add(event.id) or (event.id,) in self._lanes.get(event.lane, ()):
            return [Decided(choice="drop", reason="duplicate", event=event)]
        if event.kind is Kind.WITHDRAWAL:
            told = [decided for id_ in event.withdraws for decided in self._withdraw(id_)]
            return [*told, Decided(choice="withdraw", reason="withdrawal", event=event)]
        if event.lane is Lane.CONTROL:
            return []
        if event.id in self._withdrawn:
            return [Decided(choice="withdraw", reason="withdrawn", event=event)]
        merges = event.kind is Kind.GIFT and event.viewer.id and _SUMMARY not in event.id
        item = Item((event,), min(event.at_ms, now_ms), now_ms, event.combo if merges else "")
        if reason := self._refusal(item, now_ms):
            return [Decided(choice="drop", reason=reason, event=event)]
        return self._keep(item, now_ms)

    def expire(self, now_ms: int) -> list[Decided]:
        """Drop the comments and welcomes that have become too old."""
        waiting = (*self._lanes[Lane.CHAT].values(), *self._lanes[Lane.WELCOME].values())
        stale = [item for item in waiting if self.is_stale(item, now_ms)]
        for item in stale:
            del self._lanes[item.lane][item.key]
        return _drops(stale, "stale")

    def put_back(self, item: Item, now_ms: int) -> list[Decided]:
        """Let what was chosen wait again, at its old place; what has become withdrawn or stale goes."""
        gone = [event for event in item.events if event.id in self._withdrawn]
        told = [Decided(choice="withdraw", reason="withdrawn", event=event) for event in gone]
        rest = tuple(event for event in item.events if event not in gone)
        if not rest:
            return told
        item = replace(item, events=rest, combo="")
        if self.is_stale(item, now_ms):
            return [*told, *_drops([item], "stale")]
        self._lanes[item.lane][item.key] = item
        return [*told, *self._push_out(item.lane)]

    def choose(self, now_ms: int, since_chat: int, *, ahead_ms: int = 0, quiet_ms: int = -1) -> Choice | None:
        """Take out what is answered next; None: nothing.

        Paid before chat before welcome before an idle topic; a super chat goes before a comment of the same second.
        After `since_chat` >= `chat_every` paid answers a waiting comment goes first, so that nobody is passed over
        for ever. `ahead_ms`: how long from now it will be aired; what would be stale then is left. `quiet_ms`: how
        long nothing has been heard; negative: no idle topic.
        """
        paid, chat = self._ready(Lane.PAID, now_ms), self._ready(Lane.CHAT, now_ms)
        fresh = self._ready(Lane.CHAT, now_ms, ahead_ms)
        if paid and chat and since_chat >= self._policy.chat_every:
            return self._take(min(fresh, key=_age) if fresh else max(chat, key=_age), "chat_turn", now_ms)
        if paid:
            return self._take(*self._best(paid, now_ms), now_ms)
        if fresh:
            return self._take(min(fresh, key=_age), "oldest_chat", now_ms)
        if welcome := self._ready(Lane.WELCOME, now_ms, ahead_ms):
            return self._take(min(welcome, key=_age), "welcome", now_ms)
        return self._topic(now_ms, quiet_ms)

    def _best(self, paid: list[Item], now_ms: int) -> tuple[Item, str]:
        """The next of the paid ones, and why.

        An operator's line goes first. Else the score is price in yuan + 2 * age in seconds: 30 yuan are worth 15 s of
        waiting. All ages grow alike, so the order of two items never changes: with s = since_ms it is that of
        s - 500 * yuan. Scores alone would let one yuan wait for hours behind a row of guards; so whoever has waited
        for `paid_deadline_ms` goes before all prices, the oldest first. Ties: by time, then id.
        """

        def rank(item: Item) -> tuple[bool, bool, int, tuple[int, str]]:
            said = item.first.kind is Kind.SAY
            overdue = now_ms - item.since_ms >= self._policy.paid_deadline_ms
            head_start = 0 if said or overdue else 5 * item.amount_fen
            return not said, not overdue, item.since_ms - head_start, _age(item)

        best = min(paid, key=rank)
        if best.first.kind is Kind.SAY:
            return best, "operator"
        if len(paid) == 1:
            return best, "paid_first"
        return best, "oldest_paid" if best is min(paid, key=_age) else "highest_price"

    def _topic(self, now_ms: int, quiet_ms: int) -> Choice | None:
        after, asks = self._policy.idle_after_ms, self._policy.idle_asks
        if after is None or not asks or quiet_ms < after or len(self):
            return None
        ask = asks[self._topics % len(asks)]
        self._topics += 1
        event = LiveEvent(
            id=f"idle:{self._room}:{now_ms}",
            room=self._room,
            source="schedule",
            kind=Kind.SCHEDULE,
            lane=Lane.WELCOME,
            text=ask,
            at_ms=now_ms,
        )
        return Choice(Item((event,), now_ms, now_ms), "idle", now_ms + self._policy.chat_deadline_ms)

    def _take(self, item: Item, reason: str, now_ms: int) -> Choice:
        del self._lanes[item.lane][item.key]
        begin = now_ms if item.lane is Lane.PAID else item.since_ms
        return Choice(item, reason, begin + self._limit_ms(item.lane))

    def _ready(self, lane: Lane, now_ms: int, ahead_ms: int = 0) -> list[Item]:
        waiting = self._lanes[lane].values()
        return [i for i in waiting if self._is_ready(i, now_ms) and not self.is_stale(i, now_ms + ahead_ms)]

    def _is_ready(self, item: Item, now_ms: int) -> bool:
        quiet = now_ms - item.last_ms >= self._policy.combo_quiet_ms
        return not item.combo or quiet or now_ms - item.since_ms > self._policy.combo_limit_ms

    def _limit_ms(self, lane: Lane) -> int:
        if lane is Lane.PAID:
            return self._policy.paid_deadline_ms
        return self._policy.chat_deadline_ms if lane is Lane.CHAT else self._policy.welcome_deadline_ms

    def _repeats(self, event: LiveEvent) -> bool:
        """Whether it sums up a combo that is known."""
        return bool(event.combo) and not self._combos.add(event.combo) and _SUMMARY in event.id

    def _refusal(self, item: Item, now_ms: int) -> str:
        if self._repeats(item.first):
            return "combo"
        if self.is_stale(item, now_ms):
            return "stale"
        busy = len(self._lanes[Lane.CHAT]) >= self._policy.busy_at
        return "busy" if item.lane is Lane.WELCOME and busy else ""

    def _keep(self, item: Item, now_ms: int) -> list[Decided]:
        lane = self._lanes[item.lane]
        if known := lane.get(item.key):
            lane[item.key] = replace(known, events=known.events + item.events, last_ms=now_ms)
            return [Decided(choice="merge", reason="combo", event=item.first)]
        lane[item.key] = item
        return self._push_out(item.lane)

    def _push_out(self, lane: Lane) -> list[Decided]:
        if lane is Lane.PAID:
            return []
        size = self._policy.chat_lane if lane is Lane.CHAT else self._policy.welcome_lane
        out = self.waiting(lane)[: max(0, len(self._lanes[lane]) - size)]
        for item in out:
            del self._lanes[lane][item.key]
        return _drops(out, "pushed_out")

    def _withdraw(self, id_: str) -> list[Decided]:
        self._withdrawn.add(id_)
        waiting = (item for lane in self._lanes.values() for item in lane.values() if id_ in item.ids)
        if (item := next(waiting, None)) is None:
            return []
        del self._lanes[item.lane][item.key]
        if rest := tuple(event for event in item.events if event.id != id_):
            item_left = replace(item, events=rest)
            self._lanes[item.lane][item_left.key] = item_left
        event = next(event for event in item.events if event.id == id_)
        return [Decided(choice="withdraw", reason="withdrawn", event=event)]


def _age(item: Item) -> tuple[int, str]:
    return item.since_ms, item.first.id


def _drops(items: Iterable[Item], reason: str) -> list[Decided]:
    return [Decided(choice="drop", reason=reason, event=event) for item in items for event in item.events]
