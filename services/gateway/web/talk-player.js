// The loudspeaker: one audio graph at the rate of the voice, so that nothing is resampled here.

import { Deck } from '/web/talk-sound.js';

export const RATE = 24_000;
const BLOCK = 2048;

// Browsers have an audio thread for secure pages only; elsewhere the page itself plays.
function plain(context, hear) {
  const node = context.createScriptProcessor(BLOCK, 1, 1), deck = new Deck(RATE, hear);
  node.onaudioprocess = ({ outputBuffer, playbackTime }) => deck.fill(outputBuffer.getChannelData(0), Math.round(playbackTime * RATE));
  return { node, post: (order) => deck.order(order, Math.round(context.currentTime * RATE)) };
}

async function threaded(context, hear) {
  await context.audioWorklet.addModule('/web/talk-player-worklet.js');
  const node = new AudioWorkletNode(context, 'player', { numberOfInputs: 0, outputChannelCount: [1] });
  node.port.onmessage = ({ data }) => hear(data);
  return { node, post: (order) => node.port.postMessage(order, order.put ? [order.put.pcm.buffer] : []) };
}

export class Player {
  constructor(on) {
    Object.assign(this, { on, context: null, node: null, state: 'empty', told: [], place: null, ready: null, post: () => {} });
  }

  // Needs a gesture of the user once; fulfilled when sound may be put.
  start() {
    if (!this.context) this.ready = this.build();
    this.context.resume();
    return this.ready;
  }

  async build() {
    this.context = new AudioContext({ sampleRate: RATE, latencyHint: 'interactive' });
    this.analyser = new AnalyserNode(this.context, { fftSize: 1024 });
    this.wave = new Float32Array(1024);
    Object.assign(this, await (this.context.audioWorklet ? threaded : plain)(this.context, (told) => this.hear(told)));
    this.node.connect(this.analyser).connect(this.context.destination);
  }

  // How loud it is now, 0 to 1.
  level() {
    if (this.state !== 'playing') return 0;
    this.analyser.getFloatTimeDomainData(this.wave);
    return Math.sqrt(this.wave.reduce((sum, x) => sum + x * x, 0) / this.wave.length);
  }

  put({ turn, index, from, pcm }) {
    const wave = new Float32Array(pcm.length);
    for (let i = 0; i < pcm.length; i++) wave[i] = pcm[i] / 32768;
    this.state = this.state === 'empty' ? 'waiting' : this.state;
    this.post({ put: { turn, index, from, pcm: wave } });
  }

  pause() { this.post({ paused: true }); }
  resume() { this.post({ paused: false }); }
  flush() { this.post({ flush: true }); }

  hear(told) {
    const before = this.state;
    this.state = told.state;
    if (told.place) this.told.push({ ...told.place, time: told.time });
    this.on.told(told, before);
  }

  // Between the graph and the ear, in seconds.
  get lag() { return this.context ? this.context.outputLatency || this.context.baseLatency || 0 : 0; }

  // Where the ear is now: what was rendered before the sound was on its way to it.
  heard() {
    const now = (this.context?.currentTime ?? 0) - this.lag;
    while (this.told.length && this.told[0].time <= now) this.place = this.told.shift();
    return this.place;
  }
}
