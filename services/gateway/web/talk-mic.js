// The microphone: frames of 32 ms for the call, and how loud it is.

import { level } from '/web/talk-sound.js';

const WANTED = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
const WHY = { NotAllowedError: 'denied', SecurityError: 'denied', NotFoundError: 'none', OverconstrainedError: 'none', NotReadableError: 'taken', AbortError: 'taken' };

export class Mic {
  constructor(on) { Object.assign(this, { on, why: 'off', muted: false, level: 0, stream: null, context: null }); }

  get live() { return this.why === ''; }

  // Never fails: `why` says afterwards why there is none.
  async start() {
    if (this.live) return;
    this.why = 'asking';
    if (!globalThis.isSecureContext || !navigator.mediaDevices) { this.why = 'insecure'; return; }
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: WANTED });
      await this.listen();
      this.why = '';
    } catch (error) {
      this.stop();
      this.why = WHY[error.name] ?? 'taken';
    }
  }

  async listen() {
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule('/web/talk-mic-worklet.js');
    const source = this.context.createMediaStreamSource(this.stream);
    const node = new AudioWorkletNode(this.context, 'microphone', { numberOfOutputs: 0, channelCount: 1, channelCountMode: 'explicit' });
    node.port.onmessage = ({ data }) => this.frame(data);
    source.connect(node);
    this.stream.getAudioTracks()[0].onended = () => { this.stop(); this.why = 'gone'; this.on.changed(); };
    await this.context.resume();
  }

  frame(samples) {
    if (!this.live || this.muted) { this.level = 0; return; }
    this.level = level(samples);
    this.on.frame(samples, this.level);
  }

  mute(muted) {
    this.muted = muted;
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.context?.close();
    Object.assign(this, { stream: null, context: null, level: 0, why: 'off' });
  }
}
