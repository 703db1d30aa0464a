// The loudspeaker: one audio graph at the rate of the voice, so that nothing is resampled here.

export const RATE = 24_000;

export class Player {
  constructor(on) {
    Object.assign(this, { on, context: null, node: null, state: 'empty', told: [], place: null, ready: null });
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
    await this.context.audioWorklet.addModule('/web/talk-player-worklet.js');
    this.node = new AudioWorkletNode(this.context, 'player', { numberOfInputs: 0, outputChannelCount: [1] });
    this.node.port.onmessage = ({ data }) => this.hear(data);
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
    this.node.port.postMessage({ put: { turn, index, from, pcm: wave } }, [wave.buffer]);
  }

  pause() { this.node?.port.postMessage({ paused: true }); }
  resume() { this.node?.port.postMessage({ paused: false }); }
  flush() { this.node?.port.postMessage({ flush: true }); }

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
