// What the page says, in Chinese and English.

export const WORDS = {
  zh: {
    title: '直播间', live: '直播中', idle: '待机', joining: '正在连接', lost: '连接断开，正在重连', unknown: '没有这个房间',
    sound: '打开声音', sound_hint: '浏览器要你点一下才能出声', mute: '静音', unmute: '取消静音', other: 'English',
    answering: '正在回应', topic: '主播的话题', thinking: '正在想怎么说', welcome_line: '说点什么吧，主播会念出来并回答你',
    queue: '排队', queue_empty: '没有人在等，写一条就轮到你', done: '刚刚', done_empty: '还没有回应过谁', anonymous: '观众',
    comment: '弹幕', paid: '醒目留言', say: '说点什么…', say_paid: '写一条醒目留言…', name: '你的名字', send: '发送', sending: '发送中',
    sent: '已送达', refused: '没有送到', amount: '金额（元）', ended: '本场节目播完了', ended_line: '收到 {received} 条，回应 {answered} 条',
    failed: '出了点问题', gifts: '送出 {count} 个{gift}', stage: '舞台', write: '写给主播', source_api: '网页', source_bilibili: 'B站', source_douyin: '抖音',
    kind_danmaku: '弹幕', kind_super_chat: '醒目留言', kind_gift: '礼物', kind_guard: '上舰', kind_enter: '进场', kind_follow: '关注', kind_share: '分享', kind_like: '点赞', kind_schedule: '节目', kind_say: '口播',
    state_waiting: '等待', state_chosen: '下一个', state_on_air: '正在回应', state_answered: '已回应', state_dropped: '没轮到', state_withdrawn: '已撤回', state_merged: '已合并',
    reason_paid_first: '付费优先', reason_highest_price: '金额最高', reason_oldest_paid: '付费里等得最久', reason_chat_turn: '轮到弹幕了', reason_oldest_chat: '最早的弹幕', reason_welcome: '欢迎新人', reason_idle: '没人说话，主播找话题', reason_operator: '运营指定',
    reason_stale: '等太久，过时了', reason_pushed_out: '弹幕太多，被挤掉', reason_busy: '房间太忙', reason_combo: '连击一起谢', reason_withdrawn: '平台撤回', reason_preempted: '给付费让位', reason_interrupted: '被打断', reason_stopped: '运营停下', reason_silenced: '静默时停下', reason_gave_up: '回答没做出来', reason_nothing_spoken: '没有可念的话', reason_sound_lost: '声音丢失', reason_restarted: '导演重启', reason_spoken: '说完了', reason_silence: '已按下静默', reason_failed: '失败',
    code_unauthorized: '大模型拒绝了密钥，请检查 OPENAI_API_KEY', code_engine_refused: '引擎拒绝了请求', code_engine_silent: '引擎没有应答', code_engine_missing: '缺少引擎的密钥、模型或服务', code_engine_broken: '引擎的回答中断了', code_bus_down: '消息服务连不上', code_expired: '超时', code_sound_lost: '声音丢失', code_busy: '太忙，稍后再试',
  },
  en: {
    title: 'Room', live: 'On air', idle: 'Standing by', joining: 'Connecting', lost: 'Connection lost, joining again', unknown: 'There is no such room',
    sound: 'Turn sound on', sound_hint: 'Your browser wants one click before it plays sound', mute: 'Mute', unmute: 'Unmute', other: '中文',
    answering: 'Answering', topic: "The host's own topic", thinking: 'Thinking of an answer', welcome_line: 'Write something: the host reads it and answers you',
    queue: 'Up next', queue_empty: 'Nobody is waiting. Write something and it is your turn', done: 'Just now', done_empty: 'Nobody was answered yet', anonymous: 'Viewer',
    comment: 'Comment', paid: 'Super chat', say: 'Say something…', say_paid: 'Write a super chat…', name: 'Your name', send: 'Send', sending: 'Sending',
    sent: 'Delivered', refused: 'Not delivered', amount: 'Amount (¥)', ended: 'The show has ended', ended_line: '{received} received, {answered} answered',
    failed: 'Something is wrong', gifts: 'sent {count} × {gift}', stage: 'Stage', write: 'Write to the host', source_api: 'web', source_bilibili: 'Bilibili', source_douyin: 'Douyin',
    kind_danmaku: 'Comment', kind_super_chat: 'Super chat', kind_gift: 'Gift', kind_guard: 'New crew', kind_enter: 'Came in', kind_follow: 'Follow', kind_share: 'Share', kind_like: 'Like', kind_schedule: 'Programme', kind_say: 'Line',
    state_waiting: 'Waiting', state_chosen: 'Next', state_on_air: 'On air', state_answered: 'Answered', state_dropped: 'Passed over', state_withdrawn: 'Withdrawn', state_merged: 'Merged',
    reason_paid_first: 'paid goes first', reason_highest_price: 'highest price', reason_oldest_paid: 'paid, waited longest', reason_chat_turn: "the comments' turn", reason_oldest_chat: 'oldest comment', reason_welcome: 'a welcome', reason_idle: 'it was quiet', reason_operator: "operator's line",
    reason_stale: 'waited too long', reason_pushed_out: 'too many comments', reason_busy: 'the room is busy', reason_combo: 'thanked with its combo', reason_withdrawn: 'taken back by the platform', reason_preempted: 'made way for a paid one', reason_interrupted: 'interrupted', reason_stopped: 'stopped by an operator', reason_silenced: 'stopped by the kill switch', reason_gave_up: 'no answer came', reason_nothing_spoken: 'nothing to speak', reason_sound_lost: 'its sound was lost', reason_restarted: 'the director restarted', reason_spoken: 'spoken', reason_silence: 'the kill switch is on', reason_failed: 'failed',
    code_unauthorized: 'The model refused the key: check OPENAI_API_KEY', code_engine_refused: 'An engine refused', code_engine_silent: 'An engine does not answer', code_engine_missing: 'An engine lacks its key, model or server', code_engine_broken: "An engine's answer broke off", code_bus_down: 'The broker cannot be reached', code_expired: 'Too late', code_sound_lost: 'Sound was lost', code_busy: 'Busy, try again soon',
  },
};

export function speaker(lang) {
  const words = WORDS[lang];
  return (key, values = {}) => (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

export function firstLanguage() {
  const asked = new URLSearchParams(location.search).get('lang') ?? localStorage.getItem('onair.lang');
  if (asked === 'zh' || asked === 'en') return asked;
  return (navigator.languages ?? [navigator.language]).some((tag) => /^zh/i.test(tag)) ? 'zh' : 'en';
}
