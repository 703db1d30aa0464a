// The page's end of the show: one WebSocket, joined again by itself, and the server's clock.

const SILENCE_MS = 12_000; // the server says something every 5 s

export class Clock {
  constructor() { this.reset(); }
  reset() { this.offset = null; }
  local() { return performance.timeOrigin + performance.now(); }
  // A message is never early: the largest difference is the nearest to the truth.
  hear(serverMs) {
    const seen = serverMs - this.local();
    this.offset = this.offset === null ? seen : Math.max(this.offset, seen);
  }
  now() { return this.local() + (this.offset ?? 0); }
}

export class Link {
  constructor(room, token, clock, on) {
    Object.assign(this, { room, token, clock, on, tries: 0, joining: null, socket: null, timer: 0, watch: 0 });
    addEventListener('online', () => { if (!this.joining) this.join(); });
    this.join();
  }

  // A token in the address of a WebSocket is written down on its way; a ticket opens one, once.
  async ticket() {
    const headers = { Authorization: `Bearer ${this.token}` };
    const answer = await fetch('/api/tickets', { method: 'POST', headers, cache: 'no-store' });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.detail);
    return `?ticket=${told.ticket}`;
  }

  async join() {
    clearTimeout(this.timer);
    const mine = (this.joining = {});
    this.alive();
    try {
      const query = this.token ? await this.ticket() : '';
      if (mine === this.joining) this.open(query);
    } catch (error) { if (mine === this.joining) this.lost(0, error.name === 'TypeError' ? '' : error.message); }
  }

  open(query) {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/api/rooms/${encodeURIComponent(this.room)}/stage${query}`);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      this.alive();
      if (typeof data === 'string') this.text(JSON.parse(data));
      else this.on.sound(...split(data));
    };
    socket.onclose = ({ code, reason }) => { if (socket === this.socket) this.lost(code, reason); };
  }

  text(event) {
    if (event.type === 'present') { this.clock.reset(); this.tries = 0; this.on.state('live', ''); }
    if (event.now_ms) this.clock.hear(event.now_ms);
    this.on.event(event);
  }

  alive() {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.lost(0, ''), SILENCE_MS);
  }

  lost(code, reason) {
    clearTimeout(this.watch);
    const socket = this.socket;
    this.joining = this.socket = null;
    if (socket) { socket.onclose = null; socket.close(); }
    this.on.state(code === 4404 ? 'unknown' : 'lost', reason);
    const wait = Math.min(5_000, 250 * 2 ** this.tries++) * (0.7 + 0.6 * Math.random());
    this.timer = setTimeout(() => this.join(), wait);
  }
}

function split(data) {
  const length = new DataView(data).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  return [header, new Int16Array(data.slice(4 + length))];
}
