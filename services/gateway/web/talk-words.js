// What the call's page says, in Chinese and English.

const WORDS = {
  zh: {
    title: '通话', other: 'English', start: '开始通话', start_hint: '开口说话，或直接打字', again: '重新接通', take: '把通话接回这里', hang: '挂断', choices: '设置', close: '收起',
    mute: '静音', unmute: '取消静音', mic_on: '打开麦克风', stop: '停下', stop_hint: '让对方停下（Esc）', level: '麦克风音量', send: '发送', type: '打字也可以…', type_label: '打字说话', conversation: '对话', you: '你', controls: '通话控制', fresh: '新的对话',
    off: '未接通', joining: '正在接通', lost: '连接断了，正在重连', listening: '在听', hearing: '听到你了', thinking: '在想', speaking: '在说', paused: '停下来听你说', muted: '已静音', ready: '等你打字', refused: '需要口令', ended: '通话已结束',
    hint_listening: '请说，我在听', hint_muted: '麦克风已静音，打字也可以', hint_ready: '在下面打字，对方会出声回答', hint_thinking: '……', hint_joining: '稍等', hint_lost: '说过的话都在，连上就接着说', hint_hearing: '……', hint_paused: '……', hint_speaking: '……',
    mic_denied: '浏览器没有给麦克风权限：在地址栏的图标里允许，再按“打开麦克风”。现在可以打字。', mic_none: '没有找到麦克风：接上一个，再按“打开麦克风”。现在可以打字。', mic_taken: '麦克风正被别的程序占用，关掉它再试。现在可以打字。', mic_gone: '麦克风断开了：接上后再按“打开麦克风”。现在可以打字。', mic_insecure: '只有 https 或本机地址的页面能用麦克风。现在可以打字。',
    persona: '人格', voice: '声音', voice_default: '随人格', language: '你说的语言', language_default: '随人格', prompt: '系统提示词', prompt_hint: '留空用人格自己的', choices_hint: '从下一句话起生效', 'lang_zh': '中文', 'lang_en': '英语', lang_ja: '日语', lang_yue: '粤语', lang_ko: '韩语',
    end_protocol: '网关听不懂这个页面，通话已断开。刷新页面再试', end_policy: '网关断开了通话：{why}', end_taken: '这通电话在另一个页面接着打', end_nowhere: '这台网关不接电话', end_forbidden: '网关不接受从这里来的页面：{why}',
    lost_1012: '网关正在重启，马上回来', lost_1013: '网关太忙，稍后再试', lost_0: '网关没有应答，正在重连', lost_line: '{why}',
    token: '运营口令', token_hint: '这台网关要口令：ONAIR_TOKEN。它只留在这个标签页里', enter: '进入', refused_again: '口令不对',
    waited: '{s} 秒后开口', part_end_of_turn_ms: '断句', part_recognised_ms: '听清', part_first_sentence_ms: '想好', part_first_audio_ms: '出声', part_total_ms: '网关共计', cut: '被打断', pending: '正在送出', wrong: '出错了：{why}', unsent: '没有送到，文字放回了输入框',
    code_unauthorized: '模型拒绝了密钥', code_engine_refused: '引擎拒绝了这句话', code_engine_silent: '引擎没有应答', code_engine_missing: '引擎缺少密钥、模型或服务', code_engine_broken: '引擎的回答中断了', code_bus_down: '消息服务连不上', code_expired: '超时', code_sound_lost: '声音丢失', code_busy: '太忙，稍后再试', code_bad_input: '网关没有接受',
  },
  en: {
    title: 'Talk', other: '中文', start: 'Start the call', start_hint: 'Speak, or just type', again: 'Call again', take: 'Take the call back here', hang: 'Hang up', choices: 'Settings', close: 'Close',
    mute: 'Mute', unmute: 'Unmute', mic_on: 'Turn the microphone on', stop: 'Stop', stop_hint: 'Let it stop speaking (Esc)', level: 'Level of the microphone', send: 'Send', type: 'Or type…', type_label: 'Say it in writing', conversation: 'Conversation', you: 'You', controls: 'Controls of the call', fresh: 'New conversation',
    off: 'Not connected', joining: 'Connecting', lost: 'Connection lost, joining again', listening: 'Listening', hearing: 'Hears you', thinking: 'Thinking', speaking: 'Speaking', paused: 'Stopped to hear you', muted: 'Muted', ready: 'Type to talk', refused: 'Token needed', ended: 'The call has ended',
    hint_listening: 'Go ahead, I am listening', hint_muted: 'The microphone is muted; you can type', hint_ready: 'Type below; the answer is spoken', hint_thinking: '…', hint_joining: 'One moment', hint_lost: 'Nothing is lost; it goes on when the connection is back', hint_hearing: '…', hint_paused: '…', hint_speaking: '…',
    mic_denied: 'The browser did not allow the microphone: allow it at the icon in the address bar, then turn it on here. Until then you can type.', mic_none: 'There is no microphone: plug one in, then turn it on here. Until then you can type.', mic_taken: 'Another program has the microphone: close it and try again. Until then you can type.', mic_gone: 'The microphone was unplugged: plug it in, then turn it on here. Until then you can type.', mic_insecure: 'Browsers give the microphone only to https pages and to this machine’s own. You can type.',
    persona: 'Persona', voice: 'Voice', voice_default: "The persona's own", language: 'You speak', language_default: "The persona's language", prompt: 'System prompt', prompt_hint: "Empty: the persona's own", choices_hint: 'From the next turn on', lang_zh: 'Chinese', lang_en: 'English', lang_ja: 'Japanese', lang_yue: 'Cantonese', lang_ko: 'Korean',
    end_protocol: 'The gateway does not understand this page and ended the call. Reload the page', end_policy: 'The gateway ended the call: {why}', end_taken: 'The call goes on in another page', end_nowhere: 'This gateway takes no calls', end_forbidden: 'The gateway does not take pages from here: {why}',
    lost_1012: 'The gateway restarts and will be back in a moment', lost_1013: 'The gateway is busy, trying again soon', lost_0: 'The gateway does not answer, trying again', lost_line: '{why}',
    token: "Operators' token", token_hint: 'This gateway wants the token ONAIR_TOKEN. It stays in this tab alone', enter: 'Enter', refused_again: 'That is not the token',
    waited: 'spoke after {s} s', part_end_of_turn_ms: 'end of turn', part_recognised_ms: 'recognised', part_first_sentence_ms: 'thought', part_first_audio_ms: 'voiced', part_total_ms: 'gateway in all', cut: 'interrupted', pending: 'sending', wrong: 'Something went wrong: {why}', unsent: 'Not delivered; the text is back in the box',
    code_unauthorized: 'The model refused the key', code_engine_refused: 'An engine refused this', code_engine_silent: 'An engine does not answer', code_engine_missing: 'An engine lacks its key, model or server', code_engine_broken: "An engine's answer broke off", code_bus_down: 'The broker cannot be reached', code_expired: 'Too late', code_sound_lost: 'Sound was lost', code_busy: 'Busy, try again soon', code_bad_input: 'The gateway did not take this',
  },
};

export function speaker(lang) {
  const words = WORDS[lang];
  return (key, values = {}) => (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

export function known(say, key, other) { const said = say(key); return said === key ? other : said; }

export { firstLanguage } from '/web/words.js';
