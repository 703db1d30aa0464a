// Holds the call together: link, microphone, player and conversation, and what of it the page shows.

import { Call } from '/web/talk-call.js';
import { Link } from '/web/talk-link.js';
import { Mic } from '/web/talk-mic.js';
import { Player, RATE } from '/web/talk-player.js';

const MARK_MS = 250;
const VOICED = 0.012; // of full scale; below it is a room
const HEARING_MS = 1_500;
const CHOICES = ['persona', 'speaker', 'language', 'prompt'];
const OFFERS = {
  persona: ({ personas }) => personas.map(({ name }) => name),
  speaker: ({ voices }) => voices,
  language: ({ languages }) => languages,
};
const EMPTY = { voices: [], personas: [], languages: [], persona: '', voice: '' };

export class Desk {
  constructor() {
    Object.assign(this, { menu: EMPTY, chosen: this.kept(), draft: '', notice: '', marked: 0, voiced: 0, lock: null });
    this.changed = () => {};
    const changed = () => this.changed();
    this.call = new Call();
    this.player = new Player({ told: (...told) => this.told(...told) });
    this.mic = new Mic({ changed, frame: (samples, level) => this.frame(samples, level) });
    this.link = new Link({
      changed: () => this.moved(), opened: () => this.configure(), place: () => this.call.resume(),
      offered: (menu) => { this.menu = menu; this.changed(); }, frame: (frame) => this.frameCame(frame),
    });
  }

  kept() { try { return JSON.parse(localStorage.getItem('onair.talk')) ?? {}; } catch { return {}; } }

  // A gesture of the user: sound may begin. The microphone is asked for once, if at all.
  async begin(speak) {
    const ready = this.player.start();
    const asked = speak ? this.mic.start() : null;
    this.changed();
    await ready;
    if (this.link.state !== 'live' && this.link.state !== 'joining') this.link.open();
    await asked;
    this.awake();
    this.changed();
  }

  end() {
    this.hush();
    this.mic.stop();
    this.link.close();
    this.lock?.release();
    this.lock = null;
  }

  fresh() {
    this.end();
    sessionStorage.removeItem('onair.sid');
    this.call = new Call();
    this.player.place = null;
    this.changed();
  }

  choose(name, value) {
    this.chosen = { ...this.chosen, [name]: value };
    localStorage.setItem('onair.talk', JSON.stringify(this.chosen));
    this.configure();
    this.changed();
  }

  configure() {
    this.link.send('BotUpdateConfig', { audio: 'stream', interrupt: true });
    const chosen = Object.fromEntries(CHOICES.map((name) => [name, this.choice(name)]));
    this.link.send('BotUpdateConfig', { ...chosen, opening: true });
  }

  // What was chosen, if it is still on offer.
  choice(name) {
    const value = this.chosen[name] ?? '', offer = OFFERS[name]?.(this.menu);
    return !offer || offer.includes(value) ? value : '';
  }

  async say(text) {
    this.notice = '';
    await this.begin(false);
    this.hush();
    this.call.typed(text, performance.now());
    this.ask();
    this.changed();
  }

  ask() {
    const { asked } = this.call;
    if (!asked || asked.sent || !this.link.live) return;
    asked.sent = true;
    this.link.send('TextInput', { text: asked.text });
  }

  // What is being said is not said any further: heard at once here, told to the server.
  stop() {
    if (!this.busy) return;
    this.hush();
    this.link.send('StopSpeaking');
    this.changed();
  }

  hush() {
    const last = this.call.host();
    if (!last || (this.player.state === 'empty' && !this.call.open)) return;
    this.call.stop(last.turn);
    this.player.flush();
  }

  get busy() { return this.player.state !== 'empty' || Boolean(this.call.open) || Boolean(this.call.asked); }

  get state() {
    const { link, call, player, mic } = this;
    if (!link.live) return link.state;
    if (call.paused) return 'paused';
    if (player.state !== 'empty') return 'speaking';
    if (call.open || call.asked) return 'thinking';
    if (call.voice && performance.now() - this.voiced < HEARING_MS) return 'hearing';
    return mic.live ? (mic.muted ? 'muted' : 'listening') : 'ready';
  }

  frame(samples, level) {
    if (level > VOICED) this.voiced = performance.now();
    if (level > VOICED && !this.call.asked) this.call.ended = this.voiced;
    if (this.link.state === 'live' || this.link.state === 'lost' || this.link.state === 'joining') this.link.speak(samples);
  }

  frameCame({ event, payload, pcm }) {
    if (pcm) {
      const clip = this.call.sound(pcm);
      if (clip) this.player.put(clip);
      return;
    }
    const order = this.call.event(event, payload, performance.now());
    if (order) this.player[order]();
    this.ask();
    this.changed();
  }

  // The connection came or went. What was sent and not acknowledged may have been heard: the user says whether to send it again.
  moved() {
    const { call, link } = this;
    if (call.asked?.sent && !link.live) {
      Object.assign(this, { draft: call.asked.text, notice: 'unsent' });
      call.lines = call.lines.filter((line) => line !== call.asked);
      call.asked = null;
    }
    this.changed();
  }

  told({ place, state, left }, before) {
    const now = performance.now();
    if (place && (left || state !== before || now - this.marked >= MARK_MS)) {
      this.marked = now;
      this.link.send('PlaybackMark', { turn: place.turn, sentence: place.index, played_ms: Math.round((place.sample * 1000) / RATE) });
    }
    if (state !== before) this.changed();
  }

  // Captions follow the ear.
  follow() {
    const place = this.player.heard();
    if (place === this.call.place || !place) return;
    const before = this.call.now()?.index;
    this.call.heard(place, performance.now());
    if (this.call.now()?.index !== before) this.changed();
  }

  async awake() {
    try { this.lock ??= await navigator.wakeLock?.request('screen'); } catch { this.lock = null; } // a browser may refuse it
  }
}
