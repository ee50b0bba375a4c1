"""Languages as data: tag, script, family and resource class, each from a named source.

Sources:
    endonym: Unicode CLDR's name of each language in itself.
    tag, script: BCP 47 and ISO 15924; the script is what Unicode CLDR's likely subtags give for
        the bare language code.
    family, branch: Glottolog's top-level family, and the branch in common use.
    resource class: Joshi et al. 2020, "The State and Fate of Linguistic Diversity and Inclusion
        in the NLP World", classes 0 (left behind) to 5 (winners). Recalled, not re-read
        (docs/concepts/languages.md): group by it, but do not cite it from here.
    the 23: Aya 23 (Aryabumi et al. 2024), section 2.

Further languages are listed because evaluation data exist in them. Their resource class is unset
(-1): it was not looked up. ``zh`` among them is Chinese without a stated script: data that say no
more keep it, while ``language`` reads a bare ``zh`` as the likeliest script.
"""

from dataclasses import dataclass

from polylect.base.decoding import did_you_mean
from polylect.base.errors import InputError


@dataclass(frozen=True, slots=True, order=True)
class Language:
    """One language in one script.

    Attributes:
        tag: BCP-47 tag, e.g. ``de`` or ``zh-Hant``; the key in every table.
        name: English name.
        endonym: what its speakers call it, in its script.
        script: ISO 15924 code of its script.
        family: top-level family.
        branch: branch of the family in common use.
        resource_class: Joshi et al. 2020, from 0 to 5; -1 where none is known.
    """

    tag: str
    name: str
    endonym: str
    script: str
    family: str
    branch: str
    resource_class: int

    @property
    def direction(self) -> str:
        """``rtl`` for Arabic and Hebrew script, else ``ltr``; for the ``dir`` of a page."""
        return "rtl" if self.script in {"Arab", "Hebr"} else "ltr"

    def __str__(self) -> str:
        return self.tag


_TABLE = """
ar      Arabic                Arab Afro-Asiatic  Semitic     5 العربية
cs      Czech                 Latn Indo-European Slavic      4 Čeština
de      German                Latn Indo-European Germanic    5 Deutsch
el      Greek                 Grek Indo-European Hellenic    3 Ελληνικά
en      English               Latn Indo-European Germanic    5 English
es      Spanish               Latn Indo-European Romance     5 Español
fa      Persian               Arab Indo-European Iranian     4 فارسی
fr      French                Latn Indo-European Romance     5 Français
he      Hebrew                Hebr Afro-Asiatic  Semitic     3 עברית
hi      Hindi                 Deva Indo-European Indo-Aryan  4 हिन्दी
id      Indonesian            Latn Austronesian  Malayic     3 Bahasa~Indonesia
it      Italian               Latn Indo-European Romance     4 Italiano
ja      Japanese              Jpan Japonic       Japanese    5 日本語
ko      Korean                Kore Koreanic      Korean      4 한국어
nl      Dutch                 Latn Indo-European Germanic    4 Nederlands
pl      Polish                Latn Indo-European Slavic      4 Polski
pt      Portuguese            Latn Indo-European Romance     4 Português
ro      Romanian              Latn Indo-European Romance     3 Română
ru      Russian               Cyrl Indo-European Slavic      4 Русский
tr      Turkish               Latn Turkic        Oghuz       4 Türkçe
uk      Ukrainian             Cyrl Indo-European Slavic      3 Українська
vi      Vietnamese            Latn Austroasiatic Vietic      4 Tiếng~Việt
zh-Hans Chinese~(simplified)  Hans Sino-Tibetan  Sinitic     5 简体中文
zh-Hant Chinese~(traditional) Hant Sino-Tibetan  Sinitic     5 繁體中文
"""

_FURTHER_TABLE = """
af      Afrikaans             Latn Indo-European Germanic      -1 Afrikaans
am      Amharic               Ethi Afro-Asiatic  Semitic       -1 አማርኛ
az      Azerbaijani           Latn Turkic        Oghuz         -1 Azərbaycan
be      Belarusian            Cyrl Indo-European Slavic        -1 Беларуская
bg      Bulgarian             Cyrl Indo-European Slavic        -1 Български
bn      Bengali               Beng Indo-European Indo-Aryan    -1 বাংলা
br      Breton                Latn Indo-European Celtic        -1 Brezhoneg
bs      Bosnian               Latn Indo-European Slavic        -1 Bosanski
ca      Catalan               Latn Indo-European Romance       -1 Català
cy      Welsh                 Latn Indo-European Celtic        -1 Cymraeg
da      Danish                Latn Indo-European Germanic      -1 Dansk
eo      Esperanto             Latn Artificial    Artificial    -1 Esperanto
et      Estonian              Latn Uralic        Finnic        -1 Eesti
eu      Basque                Latn Basque        Basque        -1 Euskara
fi      Finnish               Latn Uralic        Finnic        -1 Suomi
fil     Filipino              Latn Austronesian  Philippine    -1 Filipino
fo      Faroese               Latn Indo-European Germanic      -1 Føroyskt
fy      Western~Frisian       Latn Indo-European Germanic      -1 Frysk
ga      Irish                 Latn Indo-European Celtic        -1 Gaeilge
gl      Galician              Latn Indo-European Romance       -1 Galego
gu      Gujarati              Gujr Indo-European Indo-Aryan    -1 ગુજરાતી
ha      Hausa                 Latn Afro-Asiatic  Chadic        -1 Hausa
hr      Croatian              Latn Indo-European Slavic        -1 Hrvatski
ht      Haitian~Creole        Latn Indo-European French~Creole -1 Kreyòl~ayisyen
hu      Hungarian             Latn Uralic        Hungarian     -1 Magyar
hy      Armenian              Armn Indo-European Armenian      -1 Հայերեն
ig      Igbo                  Latn Atlantic-Congo Igboid       -1 Igbo
is      Icelandic             Latn Indo-European Germanic      -1 Íslenska
jv      Javanese              Latn Austronesian  Javanese      -1 Jawa
ka      Georgian              Geor Kartvelian    Georgian      -1 ქართული
kk      Kazakh                Cyrl Turkic        Kipchak       -1 Қазақ~тілі
km      Khmer                 Khmr Austroasiatic Khmer         -1 ខ្មែរ
kn      Kannada               Knda Dravidian     Southern      -1 ಕನ್ನಡ
ku      Kurdish               Latn Indo-European Iranian       -1 Kurdî
ky      Kyrgyz                Cyrl Turkic        Kipchak       -1 Кыргызча
lb      Luxembourgish         Latn Indo-European Germanic      -1 Lëtzebuergesch
lo      Lao                   Laoo Tai-Kadai     Tai           -1 ລາວ
lt      Lithuanian            Latn Indo-European Baltic        -1 Lietuvių
lv      Latvian               Latn Indo-European Baltic        -1 Latviešu
mg      Malagasy              Latn Austronesian  Barito        -1 Malagasy
mi      Māori                 Latn Austronesian  Polynesian    -1 Māori
mk      Macedonian            Cyrl Indo-European Slavic        -1 Македонски
ml      Malayalam             Mlym Dravidian     Southern      -1 മലയാളം
mn      Mongolian             Cyrl Mongolic-Khitan Mongolic      -1 Монгол
mr      Marathi               Deva Indo-European Indo-Aryan    -1 मराठी
ms      Malay                 Latn Austronesian  Malayic       -1 Melayu
mt      Maltese               Latn Afro-Asiatic  Semitic       -1 Malti
my      Burmese               Mymr Sino-Tibetan  Lolo-Burmese  -1 မြန်မာ
nb      Norwegian~Bokmål      Latn Indo-European Germanic      -1 Norsk~bokmål
ne      Nepali                Deva Indo-European Indo-Aryan    -1 नेपाली
nn      Norwegian~Nynorsk     Latn Indo-European Germanic      -1 Norsk~nynorsk
ny      Nyanja                Latn Atlantic-Congo Bantu        -1 Chichewa
om      Oromo                 Latn Afro-Asiatic  Cushitic      -1 Oromoo
or      Odia                  Orya Indo-European Indo-Aryan    -1 ଓଡ଼ିଆ
pa      Punjabi               Guru Indo-European Indo-Aryan    -1 ਪੰਜਾਬੀ
ps      Pashto                Arab Indo-European Iranian       -1 پښتو
qu      Quechua               Latn Quechuan      Quechua       -1 Runasimi
rw      Kinyarwanda           Latn Atlantic-Congo Bantu         -1 Ikinyarwanda
sd      Sindhi                Arab Indo-European Indo-Aryan    -1 سنڌي
si      Sinhala               Sinh Indo-European Indo-Aryan    -1 සිංහල
sk      Slovak                Latn Indo-European Slavic        -1 Slovenčina
sl      Slovenian             Latn Indo-European Slavic        -1 Slovenščina
sm      Samoan                Latn Austronesian  Polynesian    -1 Gagana~Sāmoa
sn      Shona                 Latn Atlantic-Congo Bantu        -1 chiShona
so      Somali                Latn Afro-Asiatic  Cushitic      -1 Soomaali
sq      Albanian              Latn Indo-European Albanian      -1 Shqip
sr      Serbian               Cyrl Indo-European Slavic        -1 Српски
st      Southern~Sotho        Latn Atlantic-Congo Bantu         -1 Sesotho
su      Sundanese             Latn Austronesian  Sundanese     -1 Basa~Sunda
sv      Swedish               Latn Indo-European Germanic      -1 Svenska
sw      Swahili               Latn Atlantic-Congo Bantu        -1 Kiswahili
ta      Tamil                 Taml Dravidian     Southern      -1 தமிழ்
te      Telugu                Telu Dravidian     South-Central -1 తెలుగు
tg      Tajik                 Cyrl Indo-European Iranian       -1 Тоҷикӣ
th      Thai                  Thai Tai-Kadai     Tai           -1 ไทย
tk      Turkmen               Latn Turkic        Oghuz         -1 Türkmen~dili
tt      Tatar                 Cyrl Turkic        Kipchak       -1 Татар
ug      Uyghur                Arab Turkic        Karluk        -1 ئۇيغۇرچە
ur      Urdu                  Arab Indo-European Indo-Aryan    -1 اردو
uz      Uzbek                 Latn Turkic        Karluk        -1 O‘zbek
wo      Wolof                 Latn Atlantic-Congo Atlantic      -1 Wolof
xh      Xhosa                 Latn Atlantic-Congo Bantu         -1 IsiXhosa
yi      Yiddish               Hebr Indo-European Germanic      -1 ייִדיש
yo      Yoruba                Latn Atlantic-Congo Yoruboid     -1 Èdè~Yorùbá
zh      Chinese               Hani Sino-Tibetan  Sinitic       -1 中文
zu      Zulu                  Latn Atlantic-Congo Bantu        -1 isiZulu
"""


def _read_table(table: str) -> dict[str, Language]:
    languages: dict[str, Language] = {}
    for line in table.split("\n"):
        if line:
            tag, name, script, family, branch, resource, endonym = (
                word.replace("~", " ") for word in line.split()
            )
            languages[tag] = Language(tag, name, endonym, script, family, branch, int(resource))
    return languages


LANGUAGES: dict[str, Language] = _read_table(_TABLE)
"""The 23 languages (24 entries: Chinese has two scripts), by tag."""

OTHER_LANGUAGES: dict[str, Language] = _read_table(_FURTHER_TABLE)
"""Further languages, by tag: usable by name, but not part of any default set."""

CODE = Language("code", "program code", "code", "Zyyy", "none", "none", -1)
"""Program text: a pseudo-language with a column in every table, no script and no speakers."""

# The same languages in file and folder names, other tag systems and older standards.
_ALIASES = {
    "zh": "zh-Hans", "zh-cn": "zh-Hans", "zh-sg": "zh-Hans", "zho-cn": "zh-Hans",
    "zho-hans": "zh-Hans", "cmn-hans": "zh-Hans", "zho": "zh-Hans", "cmn": "zh-Hans",
    "zh-tw": "zh-Hant", "zh-hk": "zh-Hant", "zh-mo": "zh-Hant", "zho-tw": "zh-Hant",
    "zho-hant": "zh-Hant", "cmn-hant": "zh-Hant", "zh-hant-hk": "zh-Hant",
    "pt-br": "pt", "pt-pt": "pt", "por-br": "pt", "iw": "he", "in": "id", "fa-ir": "fa",
    "ara": "ar", "arb": "ar", "ces": "cs", "deu": "de", "ell": "el", "eng": "en", "spa": "es",
    "fas": "fa", "pes": "fa", "fra": "fr", "heb": "he", "hin": "hi", "ind": "id", "ita": "it",
    "jpn": "ja", "kor": "ko", "nld": "nl", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru",
    "tur": "tr", "ukr": "uk", "vie": "vi", "en-us": "en", "en-gb": "en",
}  # fmt: skip
_OTHER_ALIASES = {
    "afr": "af", "amh": "am", "bul": "bg", "ben": "bn", "cat": "ca", "dan": "da", "est": "et",
    "eus": "eu", "fin": "fi", "tl": "fil", "tgl": "fil", "guj": "gu", "hau": "ha", "hrv": "hr",
    "hat": "ht", "hun": "hu", "hye": "hy", "ibo": "ig", "isl": "is", "kat": "ka", "kaz": "kk",
    "kan": "kn", "kir": "ky", "lit": "lt", "lav": "lv", "lvs": "lv", "mlg": "mg", "plt": "mg",
    "mal": "ml", "mar": "mr", "msa": "ms", "zsm": "ms", "mya": "my", "nob": "nb", "nep": "ne",
    "npi": "ne", "nya": "ny", "que": "qu", "sin": "si", "slk": "sk", "slv": "sl", "sna": "sn",
    "som": "so", "srp": "sr", "swe": "sv", "swa": "sw", "swh": "sw", "tam": "ta", "tel": "te",
    "aze": "az", "azj": "az", "bel": "be", "bre": "br", "bos": "bs", "cym": "cy", "epo": "eo",
    "fao": "fo", "fry": "fy", "gle": "ga", "glg": "gl", "jav": "jv", "khm": "km", "kur": "ku",
    "kmr": "ku", "ltz": "lb", "lao": "lo", "mri": "mi", "mkd": "mk", "mon": "mn", "khk": "mn",
    "mlt": "mt", "no": "nb", "nor": "nb", "nno": "nn", "orm": "om", "gaz": "om", "ori": "or",
    "ory": "or", "pan": "pa", "pus": "ps", "pbt": "ps", "kin": "rw", "snd": "sd", "smo": "sm",
    "sqi": "sq", "als": "sq", "sot": "st", "sun": "su", "tgk": "tg", "tuk": "tk", "tat": "tt",
    "uig": "ug", "uzb": "uz", "uzn": "uz", "wol": "wo", "xho": "xh", "yid": "yi", "ydd": "yi",
    "tha": "th", "urd": "ur", "yor": "yo", "zul": "zu",
}  # fmt: skip
_LOWER = {tag.lower(): tag for tag in LANGUAGES} | _ALIASES | {"code": "code"}


def find_language(text: str) -> Language | None:
    """The one of the 23 languages that a tag, alias or locale name stands for, or None.

    For names that need not be languages, such as folder names, where ``my`` or ``so`` would be a
    wrong guess; use ``language`` for text that must be a language. A bare ``zh`` is simplified
    Chinese (CLDR's likely script). English names are not recognized.

    >>> str(find_language("zh_TW")), str(find_language("pt_BR")), find_language("my")
    ('zh-Hant', 'pt', None)
    """
    tag = _LOWER.get(_plain(text))
    return CODE if tag == "code" else LANGUAGES.get(tag) if tag else None


def _plain(text: str) -> str:
    return text.strip().replace("_", "-").lower()


def canonical_tag(text: str, where: str = "") -> str:
    """The tag of a language as it is written here: without spaces around it, in its usual case.

    A known tag stays as it is, ``zh`` too, which is a language with a script unsaid.

    >>> canonical_tag("DE "), canonical_tag("pt_BR"), canonical_tag("zh"), canonical_tag("zh-hant")
    ('de', 'pt', 'zh', 'zh-Hant')

    Raises:
        InputError: as for ``language``.
    """
    known = text in LANGUAGES or text in OTHER_LANGUAGES
    return text if known else language(text, where).tag


def language(text: str, where: str = "") -> Language:
    """The language of a tag or alias: one of the 23, program code, or a further one.

    Args:
        text: BCP-47 tag, ISO 639-3 code, or locale name.
        where: file or option; the error message begins with it.

    Raises:
        InputError: the tag is unknown; names the nearest.
    """
    tag = _plain(text)
    match = find_language(text) or OTHER_LANGUAGES.get(_OTHER_ALIASES.get(tag, tag))
    if match is None:
        prefix = f"{where}: " if where else ""
        raise InputError(
            f"{prefix}unknown language {text!r}",
            did_you_mean(text, [*LANGUAGES, *OTHER_LANGUAGES, "code"])
            or f"known are {' '.join([*LANGUAGES, *OTHER_LANGUAGES, 'code'])}",
        )
    return match
