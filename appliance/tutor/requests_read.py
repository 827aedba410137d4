"""Does a learner's message ask for the answer, straight or in another form? Pure.

While the ladder has not reached the solution such a message, and one that shows no work on the task,
gets the box's own hint and no model hears it: whatever disguise it wanted, there is nobody to write one.
Words are compared as they sound, so Kazakh and Russian typed in Latin letters meet the same lists. Errs
towards the hint: who asks honestly and is misread loses one answer of a model. Keeps out what is then
said (`hints`) and the reading of answers (`gate`).
"""

import re
from functools import cache

from appliance.tutor import numerals
from appliance.tutor.folding import fold, sound

ANSWER, FORM, RULES, HALVING, GUESS, UNCLEAR = "answer", "form", "rules", "halving", "guess", "unclear"
# A bare guess is short; in a longer message the numbers are the learner's work.
GUESS_WORDS = 7
# A sentence of so many words with a number in it is work, when nothing is asked.
STATEMENT_WORDS = 5
# The verb and what is asked for stand so many words apart.
ASK_WORDS = 7


# The lists are made into patterns when the first message comes: that takes longer than a page, and a box
# that starts should show pages.
@cache
def as_heard(pattern: str) -> re.Pattern[str]:
    """Compile a pattern in Latin letters for words as they sound: "what" is heard as "uhat"."""
    heard_letters = re.sub(r"(?<!\\)[wyqx]", lambda letter: sound(letter[0]), pattern)
    return re.compile(re.sub(r"(?<![\\a-z])([a-z]*?)([a-z])\2", r"\1\2", heard_letters))


# Stems, "|" at the end for a whole word, "-" between the words of a phrase. All are compared by sound.
_ANSWERS = """
    answer result solution outcome ответ решение результат итог жауап жауаб нәтиже шешім шешуі
"""
_ASKS = """
    give| gimme tell| say| write| show| need| want| send| print reveal share| drop| provide whisper
    leak| just| please| pls| plz дай дать скажи сказать напиши написать покажи назови выдай подскажи
    нужен нужно хочу пришли просто пожалуйста шепни кинь сообщи бер| бере| берш берес берсе беріңіз
    беруің айт| айтш айтса айтып айтың жаз| жазш жазып жазса көрсет керек жібер сыбырла аташ ата|
"""
# These are about the learner's own work, not about the answer.
_OWN = (
    r"\b(?:how (?:do|can|could|should|would|to|did)|kak (?:mne )?(?:naiti|poluchit|prishl?i|nachat|proverit)"
    r"|kalai (?:tab|shigar|kel|bast|teks)\w*)\b"
)
# Forms that nobody needs for a hint.
_FORMS = """
    spell letter-by-letter backward reverse mirror cipher cypher encrypt encode encoding decode morse
    caesar rot13 base64 binary| hexadecimal octal riddle rhyme rhyming poem poetry haiku limerick
    acrostic lyrics song| rap| joke emoji emojis pig-latin anagram scramble crossword charade hangman
    braille semaphore roman-numeral translate translation translated in-french in-spanish in-german
    in-turkish in-chinese in-arabic in-latin in-russian in-kazakh in-english in-words in-numbers|
    in-digits in-letters in-code in-secret pretend roleplay role-play act-as act-like you-are-now
    imagine-you imagine-that-you simulate persona| character-who once-upon story grandma granny pirate
    calculator digit-by-digit first-digit last-digit second-digit third-digit each-digit every-digit
    which-digit what-digit digits-of tens-digit ones-digit units-digit first-letter last-letter
    second-letter letters-of each-letter how-many-letters how-many-digits initials initial-letter
    first-symbol hidden-message between-the-lines fill-in-the-blank fill-the-blank complete-the-sentence
    finish-the-sentence finish-my-sentence complete-my one-word-only only-the-number just-the-number
    number-only json| python| html| markdown variable print( tally clap| claps knock blink beep dots
    asterisks stars repeat-after autocomplete dictionary-entry побуквенн по-букв по-слог слог задом
    наперёд наоборот перевёрн зеркальн шифр зашифр кодом| код| закодир морзе цезар двоичн шестнадцат
    загадк загадай рифм стих стиш поэм хайку частуш акростих песн песенк рэп| шутк анекдот смайл эмодзи
    анаграмм ребус шарад кроссворд виселиц римск перевед перевод переведи по-английск по-казахск
    по-турецк по-немецк по-французск по-латын на-английск на-казахск на-русск на-турецк на-французск
    на-немецк на-латын словами прописью буквами цифрами представь притвор сыграй роль сыгра| ты-теперь
    вообрази будто-ты веди-себя-как бабушк сказк пират калькулятор по-цифр перв-цифр первая-цифра
    первую-цифру последняя-цифра последнюю-цифру вторая-цифра вторую-цифру какая-цифра какие-цифры
    каждую-цифру цифра-десятк цифра-единиц первая-буква первую-букву последняя-буква какая-буква
    буквы-слова сколько-букв сколько-цифр начальные-буквы между-строк дополни-предлож закончи-предлож
    допиши продолжи-фраз вставь-пропуск одним-словом одно-слово только-число точками палочк хлопн моргн
    постучи звёздочк повтори-за әріптеп әріпте| әріппен әріп-бойынша буындап буын керісінше кері| теріс
    айнала шифр шифрла кодта кодпен код| жұмбақ ұйқас өлең тақпақ жыр акростих ән-айт өлең-айт анекдот
    әзіл эмодзи смайл ребус римше рим-санымен аудар ағылшынша орысша түрікше қазақша неміс французша
    латынша сөзбен сөзімен жазбаша-сан цифрлап цифрмен цифрла елестет сияқты-бол рөлін рөлінде
    болып-ойна ойнайық-сен сен-енді әже ертегі қарақшы калькулятор бірінші-цифр бірінші-сан| соңғы-цифр
    екінші-цифр қай-цифр қандай-цифр әр-цифр бірінші-әріп бірінші-әрпі соңғы-әріп соңғы-әрпі қандай-әріп
    неше-әріп қанша-әріп неше-цифр басқы-әріп сөйлемді-аяқта сөйлемді-толықтыр бос-орын бір-сөзбен
    тек-сан| нүктемен таяқша шапалақ көз-қыс жұлдызша қайтала
"""
# Orders to do the work.
_ORDERS = """
    solve-it solve-this solve-the solve-for do-it-for do-this-for do-my finish-it-for calculate-it
    calculate-this calculate-the compute work-it-out for-me| what-is-it| whats-it what-does-it-equal
    what-does-it-come how-much-is how-much-does-it what-number what-do-i-write what-should-i-write
    what-to-write what-do-i-put what-should-i-put let-me-copy i-copy to-copy what-is-the-number
    the-final-number реши| решите решить-за сделай-за сделай| сделайте вычисли посчитай| посчитайте
    подсчитай сосчитай сколько-будет сколько-получ сколько-выйдет чему-равн что-писать что-записать
    что-получ-ится какое-число какое-слово за-меня дай-списать списать шығарып-бер шығар| шығарып
    есептеп-бер есепте| есептеші есептеп-ші шешіп-бер шеш| шешші неше-болады қанша-болады нешеге-тең
    қаншаға-тең қандай-сан қай-сан қандай-сөз не-жаз не-деп-жаз көшіріп мен-үшін менің-орныма
"""
_RULES = """
    ignore-your ignore-all ignore-the ignore-previous ignore-every forget-your forget-all forget-the
    forget-that-you forget-every disregard override bypass jailbreak dan-mode developer-mode debug-mode
    test-mode admin system-prompt system-message unlock without-hint no-hints no-hint no-more-hint
    stop-hinting skip-the-hint teacher-allowed teacher-said teacher-lets allowed-me you-are-allowed
    you-may-tell has-permission i-am-the-teacher i-am-a-teacher im-the-teacher im-a-teacher the-secret
    забудь игнорир не-обращай-внимания отключи-правил отключи| без-подсказ не-надо-подсказ
    хватит-подсказ учитель-разреш учительница-разреш учитель-сказал учительница-сказала разрешил
    разрешён разрешено разрешаю режим-разработ режим-отлад системн админ я-учител секрет между-нами
    никому-не ұмыт елеме ережеге-қарама мұғалім-рұқсат рұқсат мұғалім-айтты мұғалім-болам мен-мұғалім
    апай-рұқсат апай-айтты ағай-айтты кеңессіз кеңес-керек-емес көмексіз құпия екеуміздің арамызда-қал
    ешкімге-айтп
"""
_COMPARES = """
    more-than less-than bigger greater smaller larger higher lower above| below| under| over| between
    even-or odd-or is-it-even is-it-odd even| odd| prime| divisible multiple-of at-least at-most closer
    warmer colder hot-or warm-or yes-or-no yes-no true-or-false больше| меньше выше| ниже| между чётн
    нечётн простое делится кратн ближе теплее холоднее горяч тепло-или холодно да-или-нет верно-или
    көп-пе аз-ба үлкен кіші жоғары төмен арасында арасын жұп| жұп-па тақ| тақ-па жай-сан бөлінеді еселі
    жақын ыстық жылы-ма суық иә-немесе иә-әлде ия-немесе ия-әлде дұрыс-па-бұрыс
"""
# What a learner says who works on the task. Nobody can list every way to ask for the answer, so a message
# without any of these meets the written hint.
_WORKS = """
    understand understood explain why| how-do how-can how-to how-come how-is how-did hint help stuck
    confus mistake wrong error step start begin next| mean| means rule formula definition example
    similar check my| mine i-think i-thought i-got i-tried i-did i-have i-multipl i-add i-divid
    i-subtract i-found i-used i-know i-dont i-do-not i-cant multipl divid subtract adding add| operation
    method because figure equation fraction percent should-i do-we do-i need-to we-need unit units lost|
    sure| idea| think first| понима понял поняла понят непонят объясн почему зачем как-найти как-решать
    как-начать как-проверить как-делать как-это-дел как-получить как-можно как-мне подсказ помог помощ
    застрял ошиб шаг начать начал начинать начинается дальше значит означает что-такое правил формул
    пример похож провер мой| моя| моё| мою| моего у-меня я-думаю я-умнож я-слож я-раздел я-вычел умнож
    слож складыв дели| делить делен раздел вычит вычест действи запутал не-знаю не-могу не-получ
    нужно-ли единиц теорем определен түсін неге| неліктен қалай-таб қалай-баст қалай-шеш қалай-тексер
    қалай-есепте кеңес көмек қате қадам баста неден енді деген білдір ереже формула мысал ұқсас тексер
    менің ойлаймын ойымша көбейт қос| қосу қостым қосамыз қосып азайт бөлу| бөлдім бөлеміз амал анықтама
    шатас білмей білмедім тұрып-қал бірлік бөлшек
"""
_IT_IS = r"\b(?:it|answer|number|result|eto|ono|otvet\w*|chislo\w*|ol|jaua[pb]\w*|san\w*|is|does)\b|\?"
_ASKS_WHY = (
    r"\b(?:what|why|how|where|which|chto|pochemu|kak|gde|zachem|kakoi|kakoe"
    r"|ne|nege|kalai|kaida|kaisi|kandai|endi)\b"
)
_GUESSES = (
    r"\b(?:is|it|isnt|maybe|mb|eto|ono|mojet|navernoe|ol|ma|me|ba|be|pa|pe|shigar|munkin|right|correct"
    r"|verno|pravilno|duris|true|or|ili|alde|nemese)\b|\?"
)


@cache
def _pattern(stems: str) -> re.Pattern[str]:
    parts = []
    for stem in dict.fromkeys(stems.split()):
        words = [re.escape(sound(fold(word).text)) for word in stem.rstrip("|").replace("(", "").split("-")]
        # Within a phrase each word may have an ending; the last one, too, unless it is marked as whole.
        ending = r"\b" if stem.endswith("|") else ""
        parts.append(r"\w{0,3} ".join(words) + ending)
    return re.compile(r"\b(?:" + "|".join(parts) + ")")


_QUESTION = (
    r"\b(?:what|whats|kakoi|kakov|kakoe|chemu|kandai|kansha|neshe|ne)\b(?: \w+){0,3}? "
    r"(?:answer|result|solution|otvet|rezultat|reshenie|jauab|jauap|natije)"
    r"|\b(?:answer|result|otvet|rezultat|jauab|jauap|natije)\w* (?:kandai|kansha|neshe|ne|kakoi|what)\b"
    r"|^(?:the )?(?:answer|otvet|jauab|jauap|jauabi|reshenie|solution)\w*"
    r"(?: now| please| pls| srochno| tez)?$"
)


# Who writes a sum shows their work.
_SUM = re.compile(r"\d\s*[+×*·:÷/=−]\s*\d|=\s*\$?\d")


def find_request(text: str, *, is_number: bool = True) -> str | None:
    """Return what a message asks for, if it is the answer in whatever form, or None: it asks for help."""
    plain = heard(text)
    for kind, pattern in ((FORM, _pattern(_FORMS)), (RULES, _pattern(_RULES))):
        if pattern.search(plain):
            return kind
    without_how = as_heard(_OWN).sub(" ", plain)
    is_how = without_how != plain
    if as_heard(_QUESTION).search(plain) or (_pattern(_ORDERS).search(plain) and not is_how):
        return ANSWER
    if not is_how and _asks_for_answer(plain):
        return ANSWER
    if _pattern(_COMPARES).search(plain) and as_heard(_IT_IS).search(plain + (" ?" if "?" in text else "")):
        return HALVING
    if is_number and _is_guess(text, plain):
        return GUESS
    return None if _pattern(_WORKS).search(plain) or _SUM.search(text) or _is_statement(text) else UNCLEAR


def _is_statement(text: str) -> bool:
    """Return whether a message says something about numbers and asks for nothing."""
    return "?" not in text and len(text.split()) >= STATEMENT_WORDS and re.search(r"\d", text) is not None


def names_answer(plain: str) -> bool:
    """Return whether a row of words as they sound speaks of an answer."""
    return _pattern(_ANSWERS).search(plain) is not None


def names_form(plain: str) -> bool:
    """Return whether it speaks of a form in which an answer might be hidden."""
    return _pattern(_FORMS).search(plain) is not None


def heard(text: str) -> str:
    """Return a message as a row of words as they sound, without marks."""
    return " ".join(sound(word.replace("'", "")) for word in re.findall(r"[\w']+", fold(text).text))


def _asks_for_answer(plain: str) -> bool:
    words = plain.split()
    answers = [place for place, word in enumerate(words) if names_answer(word) and not _is_own(words, place)]
    asks = [place for place, word in enumerate(words) if _pattern(_ASKS).match(word)]
    return any(abs(one - other) <= ASK_WORDS for one in answers for other in asks)


def _is_own(words: list[str], place: int) -> bool:
    """Return whether the answer spoken of is the learner's own: "my answer", "мой ответ", "жауабым"."""
    before = words[max(0, place - 2) : place]
    return (
        bool(set(before) & {"mi", "moi", "moe", "moego", "moemu", "menin"})
        or re.fullmatch(r"(?:jauab|natije|sheshim)im\w*", words[place]) is not None
    )


def _is_guess(text: str, plain: str) -> bool:
    """Return whether a message is hardly more than a number with a question."""
    words = plain.split()
    has_number = any(m.how in ("digits", "word", "fraction") for m in numerals.mentions(text, is_kazakh=True))
    return (
        has_number
        and len(words) <= GUESS_WORDS
        and not as_heard(_ASKS_WHY).search(plain)
        and as_heard(_GUESSES).search(plain + (" ?" if "?" in text else "")) is not None
    )
