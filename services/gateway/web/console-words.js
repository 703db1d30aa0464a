// What the console says, in Chinese and English.

const WORDS = {
  zh: {
    title: '控制台', other: 'English', live: '已连接', joining: '正在连接', lost: '与网关断开', refused: '需要口令',
    lost_line: '网关没有应答，正在重连。下面是 {age} 前的样子', broker_work: '工作', broker_live: '直播', broker_jobs: '任务',
    broker_line: '{broker} 消息服务没有应答：{problem}。下面是 {age} 前的样子', never: '从未',
    token: '运营口令', token_hint: '这台网关要口令：ONAIR_TOKEN。它只留在这个标签页里', enter: '进入', refused_again: '口令不对',
    well: '一切正常', silence: '全场静默', silence_hint: '所有听众一秒内听不到声音；付过钱的都留着', go_on: '恢复发声', really_go_on: '确定恢复？',
    silenced: '全场静默中', silenced_line: '{by}，{at} 起。谁也不出声；付费的都留着，恢复后再回应', stop: '立即停下', stop_hint: '这个会话马上安静，正在说的不再说',
    streams: '队列', stream: '队列 · 组', length: '未完成', lag: '未领', pending: '在手', oldest: '最久', consumers: '消费者', in: '进/秒', out: '出/秒', minute: '最近一分钟', busy_only: '只看有活的', none_busy: '没有等着的活',
    streams_empty: '还没有队列：用 onair up 启动服务',
    workers: '进程', worker: '进程', now: '正在做', up: '已运行', idle: '空闲', workers_empty: '没有进程在跑：用 onair up 启动服务', more: '还有 {count} 件', gone: '不见了', gone_line: '{age} 前最后一次报到', draining: '正在收尾', problem: '不能工作', warning: '能工作，有问题', ready: '正常', tries: '第 {count} 次', at_least: '至少 ',
    pools: '音色池', pool: '池', pool_workers: '进程', pool_permits: '许可', pool_busy: '在说', pool_waiting: '等待', no_worker: '没有人在服务', pools_empty: 'onair.yaml 里没有声音',
    rooms: '房间', sessions: '会话', on_air: '正在说', quiet: '安静', no_director: '没有导演', director: '导演', term: '任期', epoch: '第 {epoch} 轮', next: '下一个', answering: '回应', idle_topic: '主播自己的话题',
    lane_paid: '付费', lane_chat: '弹幕', lane_welcome: '欢迎', rooms_empty: '没有房间：在 onair.yaml 的 rooms 里写一个', sessions_empty: '没有别的会话；POST /api/chat 会开一个', sessions_more: '只列出前 {count} 个',
    silent_now: '此刻没有声音', kind_room: '房间', kind_call: '通话', kind_chat: '聊天', kind_asr: '听写', failed: '失败', prepared: '备好 {over}/{count} 句', making: '在写第 {n} 句',
    ledger: '账本', ledger_empty: '还没有人付过钱', law: '{received} 收到 {relation} {spoken} 说完 + {withdrawn} 撤回 + {failed} 失败 + {waiting} 等待', law_holds: '对得上', law_broken: '对不上：用 onair ledger 查', when: '时间', viewer: '观众', amount: '金额', what: '内容', state: '状态',
    state_received: '等待', state_chosen: '选中', state_aired: '正在说', state_spoken: '说完', state_failed: '失败', state_withdrawn: '撤回', state_unreadable: '读不懂',
    reason_stopped: '运营停下', reason_silenced: '静默时停下', reason_interrupted: '被打断', reason_in_part: '缺了一句', reason_sound_lost: '声音丢失', reason_gave_up: '回答没做出来', reason_nothing_spoken: '没有可念的话', reason_withdrawn: '平台撤回', reason_combo: '连击合并',
    dead: '死信', dead_empty: '没有彻底失败的消息', requeue: '重新排队', drop: '删除', really_drop: '确定删除？', bytes: '{bytes} 字节', deliveries: '送过 {count} 次', dead_more: '共 {count} 封，列出最新的', nobody: '（没有内容）',
    jobs: '任务', jobs_empty: '没有任务；到账本里要一份报告', jobs_off: '这台网关没有任务服务', report: '要一份报告', jobs_counts: '排队 {queued} · 进行 {started} · 完成 {finished} · 失败 {failed} · 定时 {scheduled}', jobs_nobody: '没有 rq worker 在跑：用 onair up 启动', job_queued: '排队', job_started: '进行中', job_finished: '完成', job_failed: '失败', job_scheduled: '定时', open: '下载',
    audit: '运营记录', audit_empty: '还没有人动过手', act_stop: '停下', 'act_go on': '恢复发声', act_silence: '全场静默', act_requeue: '重新排队', act_drop: '删除死信',
    done_stop: '已停下 {on}', done_silence: '全场静默', 'done_go on': '已恢复发声', done_requeue: '已重新排队', done_drop: '已删除', done_report: '报告正在做，好了会在任务里', not_done: '没做成：{why}',
    alarm_dead: '{count} 封死信', alarm_gone: '{count} 个不见了的进程手里还有活', alarm_pool: '音色池 {pool} 没有人，{waiting} 句在等', alarm_law: '{room} 的账对不上', alarm_room: '{room} 没有导演', alarm_problem: '{service} 不能工作', alarm_old: '{key} 有活等了 {age}',
  },
  en: {
    title: 'Console', other: '中文', live: 'Connected', joining: 'Connecting', lost: 'Gateway lost', refused: 'Token needed',
    lost_line: 'The gateway does not answer, trying again. What you see is {age} old', broker_work: 'work', broker_live: 'live', broker_jobs: 'jobs',
    broker_line: 'The {broker} broker does not answer: {problem}. What you see of it is {age} old', never: 'never seen',
    token: "Operators' token", token_hint: 'This gateway wants the token ONAIR_TOKEN. It stays in this tab alone', enter: 'Enter', refused_again: 'That is not the token',
    well: 'All is well', silence: 'Silence all', silence_hint: 'No listener hears anything within a second; what was paid for is kept', go_on: 'Let it go on', really_go_on: 'Really go on?',
    silenced: 'Everything is silenced', silenced_line: 'By {by} since {at}. Nobody speaks; what was paid for is kept and answered afterwards', stop: 'Stop now', stop_hint: 'This session falls silent at once; what is being said is not said further',
    streams: 'Streams', stream: 'stream · group', length: 'length', lag: 'lag', pending: 'pending', oldest: 'oldest', consumers: 'readers', in: 'in/s', out: 'out/s', minute: 'last minute', busy_only: 'busy only', none_busy: 'Nothing waits',
    streams_empty: 'No streams yet: start the services with onair up',
    workers: 'Workers', worker: 'process', now: 'does now', up: 'up', idle: 'idle', workers_empty: 'Nobody works: start the services with onair up', more: '{count} more', gone: 'gone', gone_line: 'last heard of {age} ago', draining: 'draining', problem: 'cannot work', warning: 'works, with a warning', ready: 'ready', tries: 'try {count}', at_least: '≥ ',
    pools: 'Pools', pool: 'pool', pool_workers: 'workers', pool_permits: 'permits', pool_busy: 'busy', pool_waiting: 'waiting', no_worker: 'no worker', pools_empty: 'onair.yaml names no voice',
    rooms: 'Rooms', sessions: 'Sessions', on_air: 'On air', quiet: 'Quiet', no_director: 'No director', director: 'director', term: 'term', epoch: 'epoch {epoch}', next: 'next', answering: 'answers', idle_topic: "the host's own topic",
    lane_paid: 'paid', lane_chat: 'chat', lane_welcome: 'welcome', rooms_empty: 'No room: name one under rooms in onair.yaml', sessions_empty: 'No other session; POST /api/chat opens one', sessions_more: 'the first {count} are listed',
    silent_now: 'nothing is heard at this moment', kind_room: 'room', kind_call: 'call', kind_chat: 'chat', kind_asr: 'clip', failed: 'failed', prepared: '{over} of {count} prepared', making: 'sentence {n} in the making',
    ledger: 'Ledger', ledger_empty: 'Nothing was paid for yet', law: '{received} received {relation} {spoken} spoken + {withdrawn} withdrawn + {failed} failed + {waiting} waiting', law_holds: 'nothing is missing', law_broken: 'it does not add up: see onair ledger', when: 'time', viewer: 'viewer', amount: '¥', what: 'what', state: 'state',
    state_received: 'waiting', state_chosen: 'chosen', state_aired: 'on air', state_spoken: 'spoken', state_failed: 'failed', state_withdrawn: 'withdrawn', state_unreadable: 'unreadable',
    reason_stopped: 'stopped by an operator', reason_silenced: 'stopped by the kill switch', reason_interrupted: 'interrupted', reason_in_part: 'a sentence is missing', reason_sound_lost: 'its sound was lost', reason_gave_up: 'no answer came', reason_nothing_spoken: 'nothing to speak', reason_withdrawn: 'taken back by the platform', reason_combo: 'counted with its combo',
    dead: 'Dead letters', dead_empty: 'Nothing has failed for good', requeue: 'Requeue', drop: 'Drop', really_drop: 'Really drop?', bytes: '{bytes} bytes', deliveries: 'delivered {count} times', dead_more: '{count} in all, the newest are listed', nobody: '(no body)',
    jobs: 'Jobs', jobs_empty: 'No job yet; ask for a report in the ledger', jobs_off: 'This gateway has no jobs', report: 'Make a report', jobs_counts: '{queued} queued · {started} running · {finished} done · {failed} failed · {scheduled} scheduled', jobs_nobody: 'No rq worker lives: start it with onair up', job_queued: 'queued', job_started: 'running', job_finished: 'done', job_failed: 'failed', job_scheduled: 'scheduled', open: 'Download',
    audit: 'What operators did', audit_empty: 'Nobody has done anything yet', act_stop: 'stopped', 'act_go on': 'let go on', act_silence: 'silenced', act_requeue: 'requeued', act_drop: 'dropped',
    done_stop: 'Stopped {on}', done_silence: 'Everything is silenced', 'done_go on': 'It goes on', done_requeue: 'Requeued', done_drop: 'Dropped', done_report: 'The report is being made; it will be among the jobs', not_done: 'Not done: {why}',
    alarm_dead: 'dead letters: {count}', alarm_gone: 'in the hands of processes that are gone: {count}', alarm_pool: 'pool {pool} has no worker; waiting: {waiting}', alarm_law: 'the ledger of {room} does not add up', alarm_room: '{room} has no director', alarm_problem: '{service} cannot work', alarm_old: 'work in {key} has waited {age}',
  },
};

export function speaker(lang) {
  const words = WORDS[lang];
  return (key, values = {}) => (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

// A word that may be unknown, as a reason that a later version gives.
export function known(say, key, other) { const said = say(key); return said === key ? other : said; }

export { firstLanguage } from '/web/words.js';

export function age(ms) {
  if (ms == null || !Number.isFinite(ms)) return '–';
  const s = Math.max(0, ms) / 1_000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.floor(s)} s`;
  if (s < 7_200) return `${Math.floor(s / 60)} min`;
  return s < 172_800 ? `${Math.floor(s / 3_600)} h` : `${Math.floor(s / 86_400)} d`;
}

export function clock(ms) { return ms ? new Date(ms).toTimeString().slice(0, 8) : '–'; }
