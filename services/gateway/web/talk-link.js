// The page's end of the call: one WebSocket, opened again by itself where it left off.

import { parse, request, voice } from '/web/talk-frame.js';
import { headers, token } from '/web/console-link.js';

const PATH = '/api/live_voice_call/chat';
const KEPT = 156; // frames of the microphone, 5 s, that wait for the connection
const ENDS = { 1002: 'protocol', 1003: 'protocol', 1007: 'protocol', 1009: 'protocol', 1008: 'policy', 4401: 'refused', 4404: 'nowhere', 4409: 'taken' };
const SHUT = { 401: 'refused', 403: 'forbidden', 404: 'nowhere' };

// 250 ms, twice as long each time, at most 5 s, never all pages at once.
export function backoff(tries, chance) { return Math.min(5_000, 250 * 2 ** tries) * (0.7 + 0.6 * chance); }

// Why a connection ended for good; '' where it is worth while to come again.
export function ending(code) { return ENDS[code] ?? ''; }

export function sid() {
  const kept = sessionStorage.getItem('onair.sid');
  if (kept) return kept;
  const made = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  sessionStorage.setItem('onair.sid', made);
  return made;
}

export class Link {
  constructor(on) {
    Object.assign(this, { on, state: 'off', code: 0, reason: '', tries: 0, socket: null, timer: 0, kept: [], trial: 0 });
    addEventListener('online', () => { if (this.state === 'lost') this.join(); });
  }

  get live() { return this.state === 'live'; }

  // What may be chosen, before there is a call.
  async look() {
    try { this.on.offered(await ask('/api/call', {})); this.state = this.state === 'refused' ? 'off' : this.state; }
    catch (error) { if (SHUT[error.status]) this.end(SHUT[error.status], 0, error.message); }
    this.on.changed();
  }

  open() { this.tries = 0; this.state = 'joining'; this.on.changed(); return this.join(); }

  close() { this.end('off', 0, ''); }

  send(event, payload) { if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(request(event, payload)); }

  speak(samples) {
    if (this.live) { this.socket.send(voice(samples)); return; }
    this.kept = [...this.kept, samples].slice(-KEPT);
  }

  async join() {
    clearTimeout(this.timer);
    const trial = ++this.trial;
    const query = new URLSearchParams({ sid: sid() });
    const place = this.on.place();
    if (place) query.set('resume', place);
    try { await pass(query, this.on); } catch (error) {
      if (trial !== this.trial) return;
      if (SHUT[error.status]) this.end(SHUT[error.status], 0, error.message);
      else this.lost(0, error.status ? error.message : '');
      return;
    }
    if (trial !== this.trial) return;
    const socket = (this.socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${PATH}?${query}`));
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.on.opened(Boolean(place));
    socket.onmessage = ({ data }) => { if (socket === this.socket) this.hear(parse(data)); };
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.socket) return;
      if (ending(code)) this.end(ending(code), code, reason);
      else this.lost(code, reason);
    };
  }

  hear(frame) {
    if (!frame) return;
    if (frame.event === 'BotReady') this.ready();
    this.on.frame(frame);
  }

  ready() {
    Object.assign(this, { state: 'live', tries: 0, code: 0, reason: '' });
    for (const samples of this.kept.splice(0)) this.speak(samples);
  }

  lost(code, reason) {
    this.leave('lost', code, reason);
    this.timer = setTimeout(() => this.join(), backoff(code === 1013 ? this.tries++ + 2 : this.tries++, Math.random()));
  }

  end(state, code, reason) {
    this.kept = [];
    this.leave(state, code, reason);
  }

  leave(state, code, reason) {
    clearTimeout(this.timer);
    this.trial++;
    const { socket } = this;
    Object.assign(this, { socket: null, state, code, reason });
    if (socket) { socket.onclose = null; socket.close(); }
    this.on.changed();
  }
}

// What is on offer; then, where a token is needed, a one-time ticket in its place, which an address would give away.
async function pass(query, on) {
  on.offered(await ask('/api/call', {}));
  if (!token.get()) return;
  try { query.set('ticket', (await ask('/api/tickets', { method: 'POST' })).ticket); }
  catch (error) {
    if (error.status !== 404 && error.status !== 405) throw error;
    query.set('token', token.get());
  }
}

async function ask(path, how) {
  const answer = await fetch(path, { ...how, headers: headers(), cache: 'no-store' });
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(told.detail ?? answer.statusText), { status: answer.status });
}
