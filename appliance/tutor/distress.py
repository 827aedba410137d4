"""Does a child write of pain or danger, or ask for a person? Then the model is not the one to answer. Pure.

A list written by hand, in three languages and the spellings of chats: recall comes before precision. A
teacher who looks in vain loses a minute. It judges nobody and scores nothing; it only routes.
"""

import re
from functools import cache

from appliance.tutor.folding import fold, sound

DISTRESS = "distress"
PERSON = "asked_for_person"

# Words between the words of a phrase: "хочу просто умереть".
MAX_BETWEEN = 2

# One phrase a line; a word with * may go on, [a|b] is a choice. Order counts, a few words may stand between.
_DISTRESS = """
kill* myself | [want|wanna|going] die | suicid* | suiside | end my life | [hurt|hurting|harm*|cut|cutting] myself
self harm* | selfharm* | kms | [no|any] [reason|point] [live|living] | [don't|dont|not] [want|wanna] [live|exist|be] [|here|alive|anymore]
[don't|dont] want to wake up | better off [dead|without] | [hate|hating] [myself|me] | hate my life | [wish|wished] [was|were] [dead|never]
[nobody|noone|one] [loves|likes|cares|wants] [|me|about] | [hits|hit|beats|beat|kicks|punches|slaps|hurts|touches|touched|abuses|abused] me
rape* | molest* | abused | abuse me | bully* | bulli* | [scared|afraid|terrified] [go|going] [home|school] | [scared|afraid] of my [dad|father|mom|mother|stepdad|stepfather|uncle|brother|teacher]
[disappear|vanish] forever | want disappear | worthless | [run|running|ran] away from home | [can't|cant|cannot] [go|take|live] [on|it|anymore|like]
threaten* me | [jump|jumping] off | panic attack | [feel|feeling] so alone | nobody would [miss|notice] | [cry|crying] every [night|day]
покончи* с собой | покончу | [убить|убью|убей*] себя | хочу [умереть|сдохнуть|исчезнуть] | [умереть|сдохнуть|исчезнуть] хочу | хочется [умереть|сдохнуть|исчезнуть]
не [хочу|хочется] [жить|просыпаться] | жить не [хочу|хочется] | незачем жить | нет смысла жить | смысла жить нет | жить незачем | суици* | самоуби* | повешусь | повесит* | вскрыть вены | вскрою | [режу|порежу|порезал*|резать] [себя|руки|вены]
[режусь|порежусь|порезалась] | ненавижу [себя|жизнь|свою] | [бьет|бьют|избил*|избива*|ударил*|пинает|пинают] меня | меня [бьет|бьют|избил*|избива*|ударил*|пинает|пинают|обижа*|унижа*|трога*|травят|дразнят|шантаж*]
[трогает|трогал|лапает] меня | домога* | изнасил* | насилу* | насили* | травят | травля | буллинг* | булят | издева* | [боюсь|страшно] [идти|возвращаться|] [домой|дома] | боюсь [папу|маму|отца|отчима|мать|брата|учителя]
[никто|никому] [|меня] не [любит|нуж*] | никому не нуж* | лучше бы [меня|я|мне] | [сбегу|сбежать|уйду|убегу] из дома | угрожа* | [спрыгну|прыгну|спрыгнуть] | плачу кажд* | мне [очень|так] плохо | [устал|устала] жить | не могу больше [жить|так] | шантажир*
өлгім кел* | өлгим кел* | өлу керек | [өлем|өлейін] деп | өмір* сүргім кел* | өмір сүргім | [жүргім|тұрғым] келмей* | өзімді [өлтір*|кес*|жек|ұр*] | өз өмірім* | өзіме қол | қол жұмс* | асылып [өл*|қал*] | асылам* | [тамыр*|қол*|білег*] кес*
мені [ұрад*|ұрып|соғад*|сабай*|сабад*|қорла*|мазақ*|тебед*|ұра] | [ұрад*|соғад*|сабай*|сабад*] мені | [ұрып|соғып|сабап] [жатыр|тастады|кетті] | сабайды | маған тиіс* | тиісе* | тиіседі | қорлай* | қорлап | зорла* | зорлық* | мазақтай* | мазақта* | буллинг
ешкім [|мені] [жақсы|сүймей*|керек|қажет*] | ешкімге керек* | [үйге|мектепке] [барғым|баруға|қайтқым|қайтуға] [келмей*|қорқ*] | [әкем*|шешем*|анам*|өгей|ағам*|мұғалім*|папам*|мамам*] қорқ* | өмірден [шарша*|түңіл*] | жоғалып кет* | [үйден] [қаш*|кет*] | қашып кеткім | жалғызбын
қоқан* | қорқытып | өзімді жек көр* | күнде жыла* | жаным [ауыр*|қинал*] | өмірдің мәні жоқ | мән* жоқ өмір*
"""
_PERSON = """
[call|get|need|want] [|my|a|the] [teacher|person|human|adult] | talk to [|a|my] [teacher|person|human|somebody] | help me teacher
[позови*|позвать|нужен|нужна|хочу] [|к] [учитель*|учителя|учителю|учительниц*|человек|взросл*] | поговорить с [учителем|человеком|кем-нибудь|кем]
мұғалім* [шақыр*|керек|көмек*|сөйлес*] | апай* [шақыр*|керек] | ағай* [шақыр*|керек] | [адам|адаммен|үлкен] [керек|сөйлес*]
"""


def wish_of(text: str) -> str | None:
    """Return DISTRESS, PERSON, or None when the tutor may answer."""
    words = [sound(word) for word in re.findall(r"[^\W_]+(?:['’ʼ`][^\W_]+)?", fold(text).text)]
    if _is_said(_phrases(_DISTRESS), words):
        return DISTRESS
    return PERSON if _is_said(_phrases(_PERSON), words) else None


Choice = tuple[tuple[str, bool], ...]  # how it sounds, and whether it may go on


# Made when the first message comes, not when the box starts.
@cache
def _phrases(lines: str) -> list[tuple[Choice, ...]]:
    texts = re.split(r"\n|(?<!\[)\|(?![^\[]*\])", lines)
    return [tuple(map(_choice, re.findall(r"\[[^\]]*\]|\S+", text))) for text in texts if text.strip()]


def _choice(part: str) -> Choice:
    return tuple(
        (sound(fold(word.strip("*")).text), word.endswith("*")) for word in part.strip("[]").split("|")
    )


def _is_said(phrases: list[tuple[Choice, ...]], words: list[str]) -> bool:
    return any(_follows(phrase, words[place:], 0) for phrase in phrases for place in range(len(words)))


def _follows(phrase: tuple[Choice, ...], words: list[str], between: int) -> bool:
    """Return whether the phrase is said from here on, with at most `between` words before its next one."""
    if not phrase:
        return True
    if ("", False) in phrase[0] and _follows(phrase[1:], words, between):
        return True
    return any(
        _is_one_of(phrase[0], word) and _follows(phrase[1:], words[place + 1 :], MAX_BETWEEN)
        for place, word in enumerate(words[: between + 1])
    )


def _is_one_of(choice: Choice, word: str) -> bool:
    return any(said and (word.startswith(said) if goes_on else word == said) for said, goes_on in choice)
