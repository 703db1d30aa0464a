// In the audio thread: the microphone at 16 kHz in frames of 32 ms, as long as those of the detector: a voice is heard while it begins.

import { Framer, Resampler } from '/web/talk-sound.js';

const RATE = 16_000;
const FRAME = 512;

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.framer = new Framer(FRAME);
  }

  process([[channel]]) {
    if (channel) for (const frame of this.framer.push(this.resampler.push(channel))) this.port.postMessage(frame, [frame.buffer]);
    return true;
  }
}

registerProcessor('microphone', Microphone);
