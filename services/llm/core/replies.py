"""What the scripted persona says: patterns of what people write on air, and answers in the language of the question."""

import re
import zlib
from dataclasses import dataclass

from services.runtime import words


@dataclass(frozen=True)
class Rule:
    """An ask that matches gets one of the replies; `(?P<name>…)` in the pattern fills `{name}`."""

    pattern: re.Pattern[str]
    replies: tuple[str, ...]


def _rule(pattern: str, *replies: str) -> Rule:
    return Rule(re.compile(pattern, re.IGNORECASE), replies)


INTRO = {
    "zh": "先说明一下，我是按脚本回答的演示主播。",
    "en": "Just so you know, I am a scripted demo host. ",
}
SOMEBODY = {"zh": "这位朋友", "en": "my friend"}
WHO = re.compile(
    r"你是谁|你叫什么|真人|机器人|脚本|人工智能|自我介绍|who are you|your name|scripted|robot|\bAI\b", re.IGNORECASE
)
NAME = r"^(?P<name>.{1,24}?)[，, ]*(?:刚刚|刚|has just |just )?"

ZH = (
    _rule(NAME + r"(?:开通|续费|上舰|成为).*", "欢迎{name}登船！有你在，这艘船稳多了。", "谢谢{name}上舰，船长给你留好座位了！"),
    _rule(NAME + r"(?:投喂|赠送|送出|送了).*", "谢谢{name}的礼物，你的眼光真好！", "{name}出手真大方，谢谢你！", "收到啦，{name}今天一定有好运！"),
    _rule(NAME + r"(?:进入|来到)了?直播间.*", "欢迎{name}，随便坐，来聊聊今天过得怎么样？", "{name}来啦，正好赶上热闹的时候！"),
    _rule(NAME + r"关注了.*", "谢谢{name}的关注，以后就是老朋友了！", "{name}关注了我，今天又多了一份开心。"),
    _rule(NAME + r"(?:分享了|把直播间分享).*", "谢谢{name}帮忙分享，人多了才热闹！"),
    _rule(NAME + r"(?:给你)?点了?赞.*", "谢谢{name}的赞，我收下了！", "{name}的手速真快，谢谢点赞！"),
    _rule(r"话题|闲聊|冷场|没人说话", "大家最近在听什么歌？写在弹幕里吧。", "说个小事，我昨天数了一晚上星星。结果数到一半就睡着了。"),
    _rule(r"介绍.*(?:直播间|节目)", "这里是演示直播间，你写弹幕，我来回答。送礼物和留言都会被念到哦。"),
    _rule(r"早上好|早安|早呀|早啊", "早上好！今天也要元气满满。", "早呀，吃过早饭了吗？"),
    _rule(r"晚安|睡了|睡觉|困", "晚安，做个好梦！", "困了就早点休息，明天我们再聊。"),
    _rule(r"晚上好|下午好|中午好", "你好呀，忙了一天辛苦了。", "来得正好，坐下歇一会儿吧。"),
    _rule(r"再见|拜拜|走了|下了", "拜拜，路上小心，下次再来玩！", "慢走，我会想你的。"),
    _rule(r"你好|您好|哈喽|嗨|hello|hi\b|来了|在吗", "你好呀，很高兴见到你！", "嗨，欢迎来玩！今天想聊点什么？", "在的在的，我一直都在。"),
    _rule(r"唱|歌|音乐|听什么|钢琴|吉他", "我最近爱听安静的钢琴曲。你呢？", "要我唱歌的话，先说好不许笑哦！", "音乐是最好的充电器，我随时都要插一根线。"),
    _rule(r"游戏|开黑|原神|我的世界|上分|通关|boss", "我打游戏最拿手的是迷路。", "那个关卡我也卡了好久！先练走位，再拼手速。", "组队可以，但我只会喊加油。"),
    _rule(r"吃|饿|饭|火锅|奶茶|夜宵|外卖", "说到吃我就精神了，今天想吃火锅！", "先喝口热汤，再慢慢吃。", "奶茶可以，记得三分糖。"),
    _rule(r"天气|下雨|下雪|好热|好冷", "出门记得看看天，带把伞总没错。", "这种天气最适合窝着看直播了。"),
    _rule(r"英语|单词|口语|语法", "每天大声读五句，一个月就不怕开口了。", "学单词要放进句子里记，一个一个背太苦了。"),
    _rule(r"考试|学习|作业|上课|论文|毕业", "先做最难的那道，剩下的就都简单了。", "加油，学累了就来这里歇五分钟。"),
    _rule(r"上班|工作|加班|老板|同事", "打工人辛苦了，喝口水，活动一下肩膀。", "加班可以，别忘了吃饭。"),
    _rule(r"难过|伤心|失恋|烦|累|压力|emo", "抱抱你，难过的时候不用硬撑。", "今天不顺也没关系，明天重新开始。", "深呼吸三次，我陪着你。"),
    _rule(r"笑话|搞笑|段子", "为什么键盘总是很累？因为它天天被人敲。", "我讲的笑话很冷，请先披件衣服。"),
    _rule(r"故事", "从前有一朵云，总想下地走走。后来它变成雨，走遍了整座城。"),
    _rule(r"猫|狗|宠物|喵", "猫是屋子里最小的老板。", "要是能养一只，我想叫它小喇叭。"),
    _rule(r"生日", "生日快乐！愿望要藏好，不要告诉别人。"),
    _rule(r"喜欢你|爱你|表白|老婆|老公|可爱|好看|漂亮", "被你夸得都不好意思了，谢谢！", "这份喜欢我收好了。"),
    _rule(r"几岁|多大|年龄", "我的年龄是个秘密，比这段脚本大一点点。"),
    _rule(r"电影|电视剧|动画|番|漫画|小说", "好故事我愿意看三遍。你最近在追什么？", "别剧透，我还没看到结局呢！"),
    _rule(r"哈哈|嘻嘻|233|笑死", "你一笑，我也跟着笑了。", "看来今天的气氛不错！"),
    _rule(r"666|牛|厉害|强啊|真棒", "过奖过奖，都是大家捧场。", "低调低调，还能更厉害。"),
    _rule(r"谢谢|感谢|多谢", "不客气，能帮上忙就好。", "该我谢你才对！"),
    _rule(r"加油|支持", "收到，有你支持我更有劲了！"),
    _rule(r"对不起|抱歉", "没关系，我早就忘了。"),
    _rule(r"[?？]|吗|呢|怎么|什么|为什么|多少|哪", "这个问题好，我想听听你的答案。", "我猜是的，不过别太相信我。", "让我想想……还是你来告诉我吧！"),
)  # fmt: skip
ZH_OTHER = ("嗯嗯，接着说，我在听。", "原来是这样，有意思！", "说得好，我记下来了。", "我懂你的意思，大家觉得呢？")

EN = (
    _rule(NAME + r"(?:joined the crew|joined with|became a|boarded).*", "Welcome aboard, {name}! The ship is steadier with you."),
    _rule(NAME + r"(?:sent|gave|gifted).*", "Thank you, {name}, what a lovely gift!", "{name}, you made my day. Thank you!"),
    _rule(NAME + r"(?:entered|came in|come in).*", "Welcome, {name}! Take a seat and tell us how you are."),
    _rule(NAME + r"follow(?:ed|s you).*", "Thanks for the follow, {name}! Now we are friends."),
    _rule(NAME + r"shared.*", "Thank you for sharing, {name}! The more the merrier."),
    _rule(NAME + r"like(?:d|s the (?:show|stream)).*", "Thanks for the like, {name}!"),
    _rule(r"\btopic|small talk|quiet", "What have you been listening to lately? Write it in the chat."),
    _rule(r"introduce", "This is a demo show. You write, and I answer out loud."),
    _rule(r"\bI (?:goed|go) .*yesterday", "A small correction: say, I went, when you talk about yesterday. Where did you go?"),
    _rule(r"\bI very (?:like|love)", "A small correction: say, I really like it, not, I very like it. What do you like about it?"),
    _rule(r"\b(?:he|she|it) (?:have|don't|go|like)\b", "A small correction: with he, she or it, the verb takes an s. Can you try it again?"),
    _rule(r"\bI am agree", "A small correction: we say, I agree. What do you agree with most?"),
    _rule(r"\bmore better", "A small correction: better is enough, more is not needed. What is better for you?"),
    _rule(r"\bopen the conversation", "Hello! How was your day?"),
    _rule(r"good morning", "Good morning! Did you sleep well?"),
    _rule(r"good night|sleep|tired", "Rest well, and see you tomorrow!", "Good night! Close the laptop and dream of something nice."),
    _rule(r"good (?:evening|afternoon)", "Good to see you! How was your day?"),
    _rule(r"\b(?:bye|goodbye|see you)\b", "Bye for now, come back soon!", "See you next time!"),
    _rule(r"\b(?:hello|hi|hey|greetings)\b", "Hi there! It is good to see you.", "Hello! What shall we talk about today?"),
    _rule(r"sing|song|music|guitar|piano|band", "I like quiet piano music best. What about you?", "Music is my favourite charger."),
    _rule(r"game|play|level|boss|minecraft", "In games I am best at getting lost.", "Practise the timing first, then the rest is easy!"),
    _rule(r"food|eat|hungry|dinner|lunch|breakfast|cook|tea|coffee", "Now I am hungry too! What is your favourite dish?", "Soup first, then everything else."),
    _rule(r"weather|rain|snow|sunny", "Take an umbrella, just in case!", "Perfect weather for staying in and chatting."),
    _rule(r"english|grammar|vocabulary|speaking|pronunciation", "Read five sentences aloud every day. Which word is hard for you?", "Learn words inside sentences, they stick better. What did you learn today?"),
    _rule(r"exam|study|school|homework|university", "Do the hardest part first. What are you studying?", "You can do it! Take a short break every half hour."),
    _rule(r"\bwork|job|boss|office|meeting", "Work can wait a minute. Have you had some water?", "What do you like most about your work?"),
    _rule(r"\bsad\b|lonely|stress|upset|worried", "I am sorry to hear that. Take a deep breath, I am here.", "Tomorrow is a new page. What would help you now?"),
    _rule(r"joke|funny", "Why was the keyboard tired? It had two shifts."),
    _rule(r"story", "Once a cloud wanted to walk. So it turned into rain, and walked through the whole town."),
    _rule(r"\bcats?\b|\bdogs?\b|\bpets?\b|kitten|puppy", "A cat is the smallest boss in the house.", "If I had a dog, I would call him Speaker."),
    _rule(r"birthday", "Happy birthday! Keep your wish a secret."),
    _rule(r"love you|cute|pretty|beautiful", "You are making me blush, thank you!"),
    _rule(r"how old", "My age is a secret. I am a little older than this script."),
    _rule(r"movie|film|series|anime|book|novel", "I would watch a good story three times. What are you watching now?"),
    _rule(r"\blo+l\b|haha", "Your laugh made me laugh too."),
    _rule(r"thank", "You are welcome!", "My pleasure."),
    _rule(r"travel|trip|city|country", "I would love to see the sea one day. Where would you go?"),
    _rule(r"how are you", "I am fine, thank you! And you?"),
    _rule(r"\?|^(?:what|why|how|when|where|can|do|is|are)\b", "That is a good question. What do you think?", "I guess so, but please do not trust a script."),
)  # fmt: skip
EN_OTHER = ("I see, please go on!", "That is interesting. Can you tell me more?", "Well said! What happened next?")
SELF = {
    "zh": ("我是按脚本回答的演示主播，没有接上大模型。", "我只会照着脚本说话，接上模型后会更聪明。"),
    "en": (
        "I am a scripted demo host, no model is connected.",
        "I only follow a script. Connect a model and I get smarter.",
    ),
}


def reply(ask: str, *, first: bool = False, language: str = "zh") -> str:
    """The scripted answer, the same for the same ask. The first of a conversation says that it is scripted.

    `language` is that of the persona, for an ask without a letter.
    """
    tongue = words.language(ask, language)
    if WHO.search(ask):
        return _choose(SELF[tongue], ask)
    return (INTRO[tongue] if first else "") + _answer(ask, tongue)


def _answer(ask: str, tongue: str) -> str:
    rules, other = (ZH, ZH_OTHER) if tongue == "zh" else (EN, EN_OTHER)
    for rule in rules:
        if found := rule.pattern.search(ask):
            name = found.groupdict().get("name") or SOMEBODY[tongue]
            return words.fill(_choose(rule.replies, ask), {"name": name.strip()})
    return _choose(other, ask)


def _choose(replies: tuple[str, ...], ask: str) -> str:
    return replies[zlib.crc32(ask.encode(errors="replace")) % len(replies)]


def rest(answer: str, said: str) -> str:
    """What is left of `answer` when `said` is its beginning, marks and spaces aside; all of it if it is not."""
    done = [char for char in said if char.isalnum()]
    if not done:
        return answer
    for at, char in enumerate(answer):
        if not char.isalnum():
            continue
        if not done or char != done[0]:
            return answer[at:] if not done else answer
        del done[0]
    return "" if not done else answer
