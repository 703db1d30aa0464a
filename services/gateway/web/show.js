// What the page knows of the show, folded from the server's events.

const KNOWN = new Set(['present', 'card', 'turn', 'turn_over', 'caption', 'caption_over', 'cut', 'pose']);
const LIVE = new Set(['waiting', 'chosen', 'on_air']);

export class Show {
  constructor(player) {
    Object.assign(this, { player, cards: new Map(), turns: new Map(), captions: [], poses: [], failed: null, ended: null, link: 'joining', reason: '' });
    this.changed = () => {};
  }

  event(event) {
    if (event.type === 'failed' || event.type === 'ended') this[event.type] = event;
    else if (KNOWN.has(event.type)) this[event.type](event);
    this.changed();
  }

  present({ cards, turns, captions, pose, failed, ended }) {
    const playing = new Set(turns.map(({ turn }) => turn));
    this.player.cut((turn) => !playing.has(turn));
    this.cards = new Map(cards.map((card) => [card.id, card]));
    this.turns = new Map(turns.map((turn) => [turn.turn, turn]));
    this.captions = captions;
    this.poses = pose ? [pose] : [];
    Object.assign(this, { failed, ended });
  }

  card(card) {
    if (!this.cards.has(card.id)) card.fresh = true;
    this.cards.set(card.id, card);
    const over = [...this.cards.values()].filter(({ state }) => !LIVE.has(state));
    for (const old of over.slice(0, -40)) this.cards.delete(old.id);
  }

  turn(turn) { this.turns.set(turn.turn, turn); this.ended = null; }
  turn_over({ turn, to_ms: to }) { const known = this.turns.get(turn); if (known) known.to_ms = to; }
  caption(caption) { this.captions.push(caption); }

  caption_over({ turn, index, to_ms: to }) {
    for (const each of this.captions) if (each.turn === turn && each.index === index) each.to_ms = to;
  }

  cut({ turn }) {
    this.turns.delete(turn);
    this.captions = this.captions.filter((each) => each.turn !== turn);
    this.player.cut((each) => each === turn);
  }

  pose(pose) { this.poses.push(pose); }

  // What is to be seen at this moment of the show; old things are let go.
  at(now) {
    const open = (each) => each.to_ms === null || each.to_ms > now;
    this.captions = this.captions.filter((each) => each.to_ms === null || each.to_ms > now - 5_000);
    for (const [id, turn] of this.turns) if (!open(turn)) this.turns.delete(id);
    while (this.poses.length > 1 && this.poses[1].at_ms <= now) this.poses.shift();
    const begun = this.captions.filter((each) => each.from_ms <= now);
    const caption = begun.at(-1);
    const shown = caption && (open(caption) || now - caption.to_ms < 350) ? caption : null;
    const turn = [...this.turns.values()].find((each) => each.from_ms <= now) ?? null;
    const pose = this.poses[0] && this.poses[0].at_ms <= now ? this.poses[0] : null;
    return { turn, caption: shown, face: pose?.face ?? face(shown?.emotion) };
  }

  lanes() {
    const cards = [...this.cards.values()];
    const rank = { on_air: 0, chosen: 1, waiting: 2 };
    const paid = (card) => (card.lane === 'paid' ? 0 : 1);
    const live = cards.filter(({ state }) => state in rank);
    live.sort((a, b) => rank[a.state] - rank[b.state] || paid(a) - paid(b) || a.at_ms - b.at_ms);
    return { live, over: cards.filter(({ state }) => !(state in rank)).reverse() };
  }
}

const TAGS = { happy: /开心|高兴|喜|happy|joy|smile/i, sad: /难过|伤心|sad/i, angry: /生气|怒|angry/i, surprised: /惊|surpris/i, shy: /羞|shy/i };

function face(emotion) {
  return Object.keys(TAGS).find((name) => emotion && TAGS[name].test(emotion)) ?? 'neutral';
}
