// The console's end: one request whose answer never ends, asked for again by itself; and the orders.

const SILENCE_MS = 2_600; // the server says something every second
const KEY = 'onair.token';

export const token = {
  get: () => sessionStorage.getItem(KEY) ?? '',
  set: (text) => (text ? sessionStorage.setItem(KEY, text) : sessionStorage.removeItem(KEY)),
};

// A token in the fragment of the address is never sent to a server; it is taken out of sight at once.
if (location.hash.startsWith('#token=')) {
  token.set(decodeURIComponent(location.hash.slice(7)));
  history.replaceState(null, '', location.pathname + location.search);
}

export function headers(more = {}) {
  return { ...more, ...(token.get() && { Authorization: `Bearer ${token.get()}` }) };
}

export class Link {
  constructor(on) { Object.assign(this, { on, control: null, watch: 0, timer: 0, tries: 0 }); this.join(); }

  async join() {
    clearTimeout(this.timer);
    this.control?.abort();
    const control = (this.control = new AbortController());
    this.alive();
    try {
      const answer = await fetch('/api/console/stream', { headers: headers(), signal: control.signal, cache: 'no-store' });
      if (answer.status === 401) return this.refused(await answer.json());
      if (!answer.ok) throw new Error((await answer.json()).detail);
      await this.read(answer.body.getReader(), control);
    } catch (error) { this.lost(control, error.name === 'TypeError' || error.name === 'AbortError' ? '' : error.message); }
  }

  async read(reader, control) {
    const decoder = new TextDecoder();
    for (let rest = ''; ;) {
      const { value, done } = await reader.read();
      if (done) break;
      const events = (rest + decoder.decode(value, { stream: true })).split('\n\n');
      rest = events.pop();
      for (const event of events) this.hear(JSON.parse(event.slice(6)));
    }
    this.lost(control, '');
  }

  hear(event) {
    this.tries = 0;
    this.alive();
    this.on.event(event);
    this.on.state('live', '');
  }

  alive() {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.lost(this.control, ''), SILENCE_MS);
  }

  refused({ detail }) {
    clearTimeout(this.watch);
    this.on.state('refused', detail);
  }

  lost(control, reason) {
    if (control !== this.control) return;
    clearTimeout(this.watch);
    this.control = null;
    control.abort();
    this.on.state('lost', reason);
    this.timer = setTimeout(() => this.join(), Math.min(2_000, 250 * 2 ** this.tries++));
  }
}

export async function order(path, body) {
  const how = { method: 'POST', headers: headers({ 'Content-Type': 'application/json' }), body: JSON.stringify(body ?? {}) };
  const answer = await fetch(path, how);
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail ?? answer.statusText);
  return told;
}
