// What the console knows, and what of it an operator should look at first.

import { age } from '/web/console-words.js';

const MINUTE = 60;
const STALE_MS = 3_000; // the server says itself after two seconds that a broker is gone; this is for a server that hangs
const LATE_MS = 10_000;

export class Store {
  constructor() {
    Object.assign(this, { data: {}, minutes: new Map(), link: 'joining', reason: '', heard: 0, offset: 0, ticks: 0 });
    this.changed = () => {};
  }

  event({ minutes, now_ms: now, ...sections }) {
    this.heard = Date.now();
    this.offset = now - this.heard;
    this.ticks += 1;
    if (minutes) this.minutes = new Map(Object.entries(minutes));
    Object.assign(this.data, sections);
    if (!minutes) this.sample();
    this.changed();
  }

  // One sample of each stream a second, as the server keeps them.
  sample() {
    const seen = new Set();
    for (const { key, in: came, length } of this.data.streams ?? []) {
      if (seen.has(key)) continue;
      seen.add(key);
      const samples = this.minutes.get(key) ?? [];
      samples.push([came, length]);
      this.minutes.set(key, samples.slice(-MINUTE));
    }
    for (const key of this.minutes.keys()) if (!seen.has(key)) this.minutes.delete(key);
  }

  now() { return Date.now() + this.offset; }
  // Times of entries are by the broker's clock.
  since(ms) { return ms ? this.now() + (this.data.clock?.ahead_ms ?? 0) - ms : null; }

  stale(broker) {
    const state = this.data.brokers?.[broker];
    return this.link !== 'live' || !state || Boolean(state.problem) || this.now() - state.at_ms > STALE_MS;
  }
}

export function alarms(store, say) {
  const { workers = [], pools = [], rooms = [], ledger = {}, dead, streams = [] } = store.data;
  const held = workers.filter(({ state }) => state === 'gone').reduce((sum, { holds }) => sum + holds.length, 0);
  const old = new Map(streams.filter(({ oldest_ms: at }) => at && store.since(at) > LATE_MS).map((row) => [row.key, row]));
  return [
    ...workers.filter(({ state }) => state === 'problem').map(({ service }) => say('alarm_problem', { service })),
    ...rooms.filter(({ director }) => !director).map(({ room }) => say('alarm_room', { room })),
    ...Object.entries(ledger).filter(([, { law }]) => !law.holds).map(([room]) => say('alarm_law', { room })),
    ...pools.filter(({ living, waiting }) => !living && waiting).map((pool) => say('alarm_pool', pool)),
    ...(held ? [say('alarm_gone', { count: held })] : []),
    ...[...old.values()].map((row) => say('alarm_old', { key: row.key, age: age(store.since(row.oldest_ms)) })).slice(0, 3),
    ...(dead?.count ? [say('alarm_dead', { count: dead.count })] : []),
  ];
}
