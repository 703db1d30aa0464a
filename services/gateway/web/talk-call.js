// The call as the page knows it: what the server says becomes a conversation, and sound for the player.

import { captions } from '/web/talk-caption.js';

const KEPT = 200; // lines of the conversation

export class Call {
  constructor() {
    Object.assign(this, { lines: [], partial: '', voice: false, paused: false, open: '', place: null, sentence: null, asked: null, error: null, silenced: new Set() });
  }

  // Where the call goes on after a lost connection: "turn:index:samples"; '' before the first turn.
  resume() {
    const last = this.host();
    if (!last) return '';
    const sentence = last.sentences.at(-1);
    return `${last.turn}:${sentence?.index ?? 0}:${sentence?.received ?? 0}`;
  }

  host(turn) { return this.lines.findLast((line) => line.who === 'host' && (turn === undefined || line.turn === turn)); }

  // What the user typed; it is a line at once, and the server's word for it comes later.
  typed(text, now) {
    this.asked = { who: 'you', text, pending: true };
    this.add(this.asked);
    this.ended = now;
  }

  // One event. What the player is to do: 'pause', 'resume', 'flush', or nothing.
  event(name, payload, now) {
    switch (name) {
      case 'BotReady': return this.ready(payload);
      case 'VoiceBegan': this.voice = true; this.partial = ''; break;
      case 'PartialSentence': this.partial = payload.sentence; break;
      case 'SentenceRecognized': this.recognised(payload, now); break;
      case 'TTSSentenceStart': this.start(payload); break;
      case 'TTSSentenceEnd': this.end(payload); break;
      case 'TTSDone': this.done(payload); break;
      case 'BotError': this.failed(payload.error, now); break;
      case 'PlaybackPause': this.paused = true; return 'pause';
      case 'PlaybackResume': this.paused = false; this.voice = false; return 'resume';
      case 'PlaybackStop': return this.stop(payload.turn);
    }
    return '';
  }

  ready({ resumed }) {
    this.voice = false;
    this.partial = '';
    if (resumed || !this.host()) return '';
    const busy = this.open || !this.over(this.host());
    return busy ? this.stop(this.host().turn) : '';
  }

  recognised({ sentence, turn, took_ms: took }, now) {
    if (this.host(turn)) return;
    if (this.asked?.text === sentence) this.asked.pending = false;
    else if (sentence) this.add({ who: 'you', text: sentence, took });
    this.add({ who: 'host', turn, sentences: [], place: null, done: false, stopped: false, latency: null, wait: null, error: null, ended: this.ended ?? now });
    Object.assign(this, { asked: null, open: turn, voice: false, partial: '', error: null });
  }

  start({ sentence, turn, index, rate, from_sample: from = 0 }) {
    const line = this.host(turn);
    if (!line) return;
    let known = line.sentences.find((each) => each.index === index);
    if (!known) line.sentences.push((known = { index, text: sentence, rate, received: 0, total: null }));
    this.sentence = { turn, known, at: from };
  }

  // Sound of the sentence that was announced last; what the player lacks of it, or null.
  sound(pcm) {
    if (!this.sentence) return null;
    const { turn, known } = this.sentence, { at } = this.sentence;
    this.sentence.at += pcm.length;
    const skip = Math.max(0, known.received - at);
    if (skip >= pcm.length) return null;
    known.received = at + pcm.length;
    if (this.silenced.has(turn)) return null;
    return { turn, index: known.index, from: at + skip, pcm: pcm.subarray(skip) };
  }

  end({ turn, index, samples }) {
    const known = this.host(turn)?.sentences.find((each) => each.index === index);
    if (known) known.total = samples;
  }

  done({ turn, latency }) {
    if (turn === undefined || turn === this.open) this.open = '';
    const line = this.host(turn);
    if (!line) { this.voice = false; return; }
    Object.assign(line, { done: true, latency: latency ?? null });
  }

  failed({ code, message }, now) {
    this.error = { code, message, at: now };
    const line = this.open && this.host(this.open);
    if (line) line.error = { code, message };
  }

  // Nothing more of that turn is heard, nor of what came before it.
  stop(turn) {
    for (const line of this.lines) {
      if (line.who !== 'host') continue;
      if (!this.over(line) || !line.done) Object.assign(line, { stopped: true, done: true });
      this.silenced.add(line.turn);
      if (line.turn === turn) break;
    }
    this.paused = false;
    if (this.open === turn) this.open = '';
    return 'flush';
  }

  // The player is there. The first sample of a turn ends the user's wait.
  heard(place, now) {
    if (!place) return;
    const line = this.host(place.turn);
    this.place = place;
    if (line) line.place = place;
    if (line && line.wait === null) line.wait = Math.max(0, Math.round(now - line.ended));
  }

  captions(line) {
    const later = this.place && this.lines.indexOf(line) < this.lines.indexOf(this.host(this.place.turn));
    return captions(line, line.place, Boolean(later));
  }

  // Whether all of it was heard that will ever be.
  over(line) { return line.stopped || (line.done && this.captions(line).every(({ state }) => state === 'heard')); }

  now() {
    const line = this.place && this.host(this.place.turn);
    return line ? this.captions(line).find(({ state }) => state === 'now') ?? null : null;
  }

  add(line) { this.lines = [...this.lines, { ...line }].slice(-KEPT); if (line === this.asked) this.asked = this.lines.at(-1); }
}
