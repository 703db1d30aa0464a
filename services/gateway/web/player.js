// Plays the voice on the show's clock: each sound at its moment, a constant lag behind the server, nothing twice.

export const LAG_MS = 300; // covers the way from the server; more where a sound comes late
const LAG_MOST_MS = 2_500;
const FRAME_MS = 40;

export class Player {
  constructor(clock) {
    this.clock = clock;
    this.lag = LAG_MS;
    this.clips = []; // all that is still ahead or being heard
    this.reached = new Map(); // sentence -> its next sample
    this.context = new AudioContext({ latencyHint: 'playback' });
    this.out = this.context.createGain();
    this.analyser = this.context.createAnalyser();
    this.analyser.fftSize = 1024;
    this.out.connect(this.analyser).connect(this.context.destination);
    this.wave = new Float32Array(this.analyser.fftSize);
    this.onstate = () => {};
    this.context.onstatechange = () => { this.replay(); this.onstate(); };
  }

  get on() { return this.context.state === 'running'; }
  get muted() { return this.out.gain.value === 0; }
  mute(quiet) { this.out.gain.value = quiet ? 0 : 1; this.onstate(); }
  unlock() { return this.context.resume(); }

  // The moment of the show that is heard now.
  now() { return this.clock.now() - this.lag; }

  put({ turn, index, offset, at_ms: at, rate }, pcm) {
    const key = `${turn}/${index}`;
    const known = this.reached.get(key) ?? 0;
    const skip = Math.max(0, known - offset);
    if (skip >= pcm.length) return;
    this.reached.set(key, offset + pcm.length);
    if (this.reached.size > 200) this.reached.delete(this.reached.keys().next().value);
    const samples = pcm.subarray(skip);
    const clip = { turn, key, offset: offset + skip, at: at + (skip * 1000) / rate, rate, samples, source: null, end: 0 };
    clip.to = clip.at + (samples.length * 1000) / rate;
    if (this.clips.length === 0) this.lag = LAG_MS;
    this.clips.push(clip);
    if (this.on) this.play(clip);
  }

  play(clip) {
    const now = this.context.currentTime;
    const before = this.clips[this.clips.indexOf(clip) - 1];
    let at = now + (clip.at - this.now()) / 1000;
    if (before?.source && before.end > now && at - before.end < LAG_MS / 1000 && (before.key === clip.key || at < before.end + 0.02)) {
      at = before.end; // a sentence has no holes that the ear would notice
    }
    let from = 0;
    if (at < now) {
      const late = now - at;
      if (late * 1000 < LAG_MOST_MS - this.lag) { this.lag += late * 1000 + 40; at = now + 0.04; } else { from = late; at = now; }
    }
    const length = clip.samples.length / clip.rate - from;
    if (length <= 0) return;
    const buffer = this.context.createBuffer(1, clip.samples.length, clip.rate);
    const channel = buffer.getChannelData(0);
    for (let i = 0; i < channel.length; i++) channel[i] = clip.samples[i] / 32768;
    clip.source = this.context.createBufferSource();
    clip.source.buffer = buffer;
    clip.source.connect(this.out);
    clip.source.start(at, from);
    clip.end = at + length;
  }

  // The context came to life: what is still ahead is heard, what has passed is not.
  replay() {
    const now = this.now();
    for (const clip of this.clips) stop(clip);
    if (!this.on) return;
    for (const clip of this.clips) {
      const heard = Math.ceil(((now - clip.at) * clip.rate) / 1000);
      if (heard <= 0) { this.play(clip); continue; }
      if (heard >= clip.samples.length) continue;
      clip.samples = clip.samples.subarray(heard);
      clip.at += (heard * 1000) / clip.rate;
      this.play(clip);
    }
  }

  // Nothing more of these turns.
  cut(gone) {
    for (const clip of this.clips) if (gone(clip.turn)) stop(clip);
    this.clips = this.clips.filter((clip) => !gone(clip.turn));
  }

  // How loud it is now, 0 to 1: of what really plays; where sound is off, of what would.
  level() {
    const now = this.now();
    this.clips = this.clips.filter((clip) => clip.to > now - 200 || clip.end > this.context.currentTime);
    if (this.on && !this.muted) {
      this.analyser.getFloatTimeDomainData(this.wave);
      return rms(this.wave, 0, this.wave.length, 1);
    }
    const clip = this.clips.find((each) => each.at <= now && now < each.to);
    if (!clip) return 0;
    const begin = Math.floor(((now - clip.at) * clip.rate) / 1000);
    return rms(clip.samples, begin, Math.min(begin + (FRAME_MS * clip.rate) / 1000, clip.samples.length), 32768);
  }
}

function stop(clip) {
  if (!clip.source) return;
  clip.source.stop();
  clip.source.disconnect();
  clip.source = null;
}

function rms(values, begin, end, full) {
  let sum = 0;
  for (let i = begin; i < end; i++) sum += (values[i] / full) ** 2;
  return end > begin ? Math.sqrt(sum / (end - begin)) : 0;
}
