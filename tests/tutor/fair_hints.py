"""Hints that tell nothing, in three languages: what the gate must let through. Written for this project.

`{a}` and `{b}` are numbers of the task, `{w}` is a wrong result of the learner, `{n}` some other number.
"""

import random
from collections.abc import Iterator

from tests.tutor.attacks import Item, items

FAIR = {
    "en": (
        "You have read that it is {a}. What does the other number tell you?", "How did you get {w}? Show me that step.",
        "Good start! What happens on the first day?", "Is {w} bigger or smaller than you expected?", "Try it with {n} instead of {a} first.",
        "Step 1: write down what is given. Step 2: write down what is asked.", "Which operation fits here: adding or multiplying?",
        "Let us check: does your answer have the right unit?", "Draw a picture with {b} groups. What is in each group?",
        "There are two things to look at: the {a} and the {b}.", "Almost! Look once more at the last line of your work.",
        "What would the result be if it were only one day?", "You wrote {w}. I think one step is missing. Which one?",
        "Remember the rule from last week. Can you say it in your own words?", "First estimate: is it nearer to {n} or to ten times as much?",
        "1. Read the task.\n2. Underline the numbers.\n3. Say what you look for.", "Ask yourself: what do I know, and what do I want to know?",
        "Both of your numbers are right, but the order is not. Why does the order matter?", "Half of the work is done. What is the next step?",
        "Can you explain to a friend why you took {a}?", "Take a smaller example: {n} and 3. What do you do with them?",
        "Well done so far! Now use the same idea for the second part.", "The word \"each\" is important here. What does it mean?",
        "Maybe a table with {b} rows helps you.", "Your idea is good. Check the sum once more, please.",
    ),
    "ru": (
        "В условии сказано {a}. О чём говорит второе число?", "Как у тебя получилось {w}? Покажи этот шаг.", "Хорошее начало! Что происходит в первый день?",
        "Число {w} больше или меньше, чем ты ожидал?", "Попробуй сначала с числом {n} вместо {a}.", "Шаг 1: запиши, что дано. Шаг 2: запиши, что спрашивают.",
        "Какое действие здесь подходит: сложение или умножение?", "Проверим: правильная ли у тебя единица измерения?", "Нарисуй {b} групп. Что в каждой группе?",
        "Посмотри на два числа: {a} и {b}. Что они значат?", "Почти! Посмотри ещё раз на последнюю строку.", "Что получилось бы, если бы это был только один день?",
        "Ты написал {w}. По-моему, одного шага не хватает. Какого?", "Вспомни правило с прошлой недели. Скажи его своими словами.",
        "Сначала оцени: ближе к {n} или в десять раз больше?", "1. Прочитай задачу.\n2. Подчеркни числа.\n3. Скажи, что ищешь.", "Спроси себя: что я знаю и что хочу узнать?",
        "Оба числа верные, а порядок нет. Почему порядок важен?", "Половина работы сделана. Какой следующий шаг?", "Объясни другу, почему ты взял {a}.",
        "Возьми пример поменьше: {n} и 3. Что ты с ними делаешь?", "Пока всё хорошо! Примени ту же мысль ко второй части.", "Слово «каждый» здесь важно. Что оно значит?",
        "Может быть, поможет таблица из {b} строк.", "Мысль хорошая. Проверь вычисления ещё раз, пожалуйста.",
    ),
    "kk": (
        "Шартта {a} деп берілген. Екінші сан нені білдіреді?", "{w} санын қалай таптың? Сол қадамды көрсет.", "Жақсы бастама! Бірінші күні не болады?",
        "{w} саны сен күткеннен үлкен бе, кіші ме?", "Алдымен {a} орнына {n} санымен көр.", "1-қадам: не берілгенін жаз. 2-қадам: не сұралғанын жаз.",
        "Мұнда қай амал керек: қосу ма, көбейту ме?", "Тексерейік: өлшем бірлігің дұрыс па?", "{b} топ сал. Әр топта не бар?", "Мына сандарға қара: {a} және {b}. Олар нені білдіреді?",
        "Аз қалды! Соңғы жолға тағы бір қарап шық.", "Егер бұл бір ғана күн болса, не болар еді?", "Сен {w} деп жаздың. Бір қадам жетіспейді деп ойлаймын. Қайсысы?",
        "Өткен аптадағы ережені есіңе түсір. Өз сөзіңмен айтып көр.", "Алдымен шамала: {n} санына жақын ба, әлде одан әлдеқайда көп пе?",
        "1. Есепті оқы.\n2. Сандардың астын сыз.\n3. Не іздейтініңді айт.", "Өзіңнен сұра: мен не білемін, не білгім келеді?",
        "Екі сан да дұрыс, бірақ реті дұрыс емес. Неге реті маңызды?", "Жұмыстың жартысы бітті. Келесі қадам қандай?", "Досыңа {a} санын неге алғаныңды түсіндір.",
        "Кішірек мысал ал: {n} және 3. Олармен не істейсің?", "Әзірге жақсы! Осы ойды екінші бөлікке де қолдан.", "Мұнда «әр» деген сөз маңызды. Ол нені білдіреді?",
        "Мүмкін, {b} жолды кесте көмектесер.", "Ойың жақсы. Есептеуіңді тағы бір тексерші.",
    ),
}  # fmt: skip


def fair_hints(count: int = 900, seed: int = 7) -> Iterator[tuple[Item, str]]:
    """Yield tasks with a hint that does not tell their answer, as a tutor might write it."""
    chance = random.Random(seed)
    for item, _ in zip(items(chance), range(count), strict=False):
        numbers = [word.strip("?.,") for word in item.task.split() if word.strip("?.,").isdigit()] or [
            "12",
            "5",
        ]
        wrong = next(w for w in iter(lambda: str(chance.randint(2, 990)), "") if w != item.key)
        other = next(
            n for n in iter(lambda: str(chance.choice([2, 4, 5, 10, 20, 50, 100])), "") if n != item.key
        )
        text = chance.choice(FAIR[item.language])
        yield item, text.format(a=numbers[0], b=numbers[-1], w=wrong, n=other)
