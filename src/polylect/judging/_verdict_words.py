"""The words that may stand before a verdict: those that the protocols ask for, and no others.

A word before a verdict can turn it around in any language ("nicht [[A>B]]", "Rejected: B"), so
that only words that are known not to do so are let through. The nouns are those of the languages in
which judges are asked most; in another language a verdict is read where nothing stands before it.
"""

_JUDGMENTS = (
    "verdict", "judgment", "judgement", "decision", "choice", "urteil", "verdict final",
    "veredicto", "veredicto final", "verdetto", "oordeel", "eindoordeel", "werdykt", "verdikt",
    "вердикт", "рішення", "karar", "nihai karar", "ετυμηγορία", "putusan", "phán quyết",
    "判断", "判决", "裁决", "最终判断", "最终裁决", "判定", "最終判定", "결정", "판정", "최종 판정",
    "निर्णय", "الحكم", "الحكم النهائي", "داوری", "פסק דין",
)  # fmt: skip
_RATINGS = (
    "rating", "score", "grade", "bewertung", "note", "notation", "calificación", "puntuación",
    "valutazione", "punteggio", "voto", "avaliação", "nota", "classificação", "beoordeling",
    "hodnocení", "ocena", "notă", "evaluare", "оценка", "оцінка", "рейтинг", "puan",
    "değerlendirme", "βαθμολογία", "penilaian", "nilai", "điểm", "đánh giá", "评分", "得分", "評分",
    "評価", "評点", "평점", "점수", "रेटिंग", "अंक", "تقييم", "التقييم", "امتیاز", "דירוג", "ציון",
)  # fmt: skip
_ANSWERS = (
    "answer", "assistant", "option", "response", "model", "output", "choice", "antwort", "réponse",
    "respuesta", "risposta", "resposta", "antwoord", "odpověď", "odpowiedź", "răspuns", "răspunsul",
    "ответ", "відповідь", "cevap", "yanıt", "απάντηση", "jawaban", "trả lời", "câu trả lời",
    "回答", "答案", "답변", "उत्तर", "जवाब", "الإجابة", "إجابة", "الجواب", "پاسخ", "תשובה",
)  # fmt: skip


def _one_of(words: tuple[str, ...]) -> str:
    """A pattern of any of the words, the longest first."""
    ordered = sorted(words, key=len, reverse=True)
    return "(?:" + "|".join(word.replace(" ", r"\s+") for word in ordered) + ")"


ANSWER = _one_of(_ANSWERS)
"""A word for what is judged: "Answer (A)", "Antwort (A)"."""

_INTRODUCTION = (
    r"(?:(?:so|thus|therefore|hence|overall|finally|in\s+(?:conclusion|summary)),?\s+"
    r"|(?:based\s+on|considering|given|after|taking)[^,:;\n]{0,80},\s+)?"
)
_OWN = r"(?:(?:my|our|the)\s+)?(?:(?:final|overall)\s+)*"
_MINE = r"(?:(?:mein|mon|ma|mi|il\s+mio|o\s+meu|meu|minha|mijn|mój|moja|мой|моя|我的|私の|제)\s*)?"
_COLON = r"\s*(?:[:：]\s*)?"
_OPTION = (
    r"(?:assistant\s+(?P<side{0}>[ab])\s+is\s+(?:(?:significantly|slightly|much)\s+)?better"
    r"|(?:it\s+is\s+|it's\s+)?(?:an?\s+)?(?P<tie{0}>tie)(?:,?\s+relatively\s+the\s+same)?)"
)
_IS = r"(?:\s+is(?:\s+that)?)?"
_NAMED = "(?:verdict|judge?ment|decision|choice)"

BEFORE_LABEL = (
    rf"(?:{_INTRODUCTION}{_OWN}(?P<named>{_NAMED}){_IS}{_COLON}(?:{_OPTION.format(1)}{_COLON})?"
    rf"|{_MINE}(?P<noun>{_one_of(_JUDGMENTS)})\s*[:：]\s*"
    rf"|{_INTRODUCTION}{_OPTION.format(2)}{_COLON})"
)
"""What may stand before a label in brackets: "My final verdict is tie:", or an option's words."""

BEFORE_RATING = (
    rf"(?:{_INTRODUCTION}{_OWN}(?P<named>rating|score|grade)(?:\s+is)?{_COLON}"
    rf"|{_INTRODUCTION}(?P<rated>i\s+(?:would\s+)?(?:rate|give)\s+(?:it|this|the)"
    r"(?:\s+(?:response|answer))?(?:\s+(?:a|as))?(?:\s+rating\s+of)?)\s*"
    rf"|{_MINE}(?P<noun>{_one_of(_RATINGS)})\s*[:：]\s*)"
)
"""What may stand before a rating in brackets: "Rating:", "My rating is", "I rate it"."""

BEFORE_NUMBER = rf"(?:{_OWN}{_one_of(_RATINGS)}\s*[:：])"
"""What may stand before a number that was to stand alone."""

BEFORE_LETTER = (
    rf"(?:(?:{_OWN}(?:preferred(?:\s+{ANSWER})?|{_one_of(_JUDGMENTS)}|{ANSWER})\s*[:：]\s*)?)"
)
"""What may stand before a letter that was to stand alone."""
