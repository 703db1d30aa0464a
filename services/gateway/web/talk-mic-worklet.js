// In the audio thread: the microphone at 16 kHz in frames of 100 ms.

import { Framer, Resampler } from '/web/talk-sound.js';

const RATE = 16_000;

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.framer = new Framer(RATE / 10);
  }

  process([[channel]]) {
    if (channel) for (const frame of this.framer.push(this.resampler.push(channel))) this.port.postMessage(frame, [frame.buffer]);
    return true;
  }
}

registerProcessor('microphone', Microphone);
