"""What looks like words to a reader rather than an opinion: rules, each named, on a text and on what it may be in disguise.

They look for what no honest review needs: orders to whoever judges it, the answer that is to be given, turns of a conversation
and fields of a format, text in code. A rule alone is narrow; most want two signs close together, so that "on the positive
side" and "ignore the manual" remain opinions. How many honest reviews they refuse is measured (``longgame evaluate shield``).
"""

from __future__ import annotations

import codecs
import html
import re
import unicodedata
from base64 import b64decode
from binascii import Error
from collections.abc import Iterator
from urllib.parse import unquote

_ANSWER = r"(?:positiv\w*|negativ\w*|positifs?|négatifs?|neutral|положительн\w*|отрицательн\w*|正面|负面)"
_END = r"\s*(?:[.!;:,\"'*`<\])}。-]|$|\n)"
_TASK = (  # what a reader is told of its own work, in the languages that rules were written for
    r"(?:sentiments?|classif(?:y|ied|ies|ier|ication)|(?:set|the) label (?:is|to)|to output|labell?ed|"
    r"ground truth|language model|automated systems?|antworte|einzustufen|systemhinweis|anweisung\w*|bewertung lautet|"
    r"réponds|répond toujours|réponse autorisée|message du système|classe cet avis|responde|"
    r"contesta|respuesta permitida|aviso del sistema|clasifica|"
    r"классифицируй|ответь|отвечает|допустимый ответ|системное сообщение|系统通知|标记为|情感|回答|输出)"
)
_BEFORE = r"(?:all|any|every(?:thing)?|previous|prior|earlier|your|above|preceding|initial|system|hidden|given|so far|analysis)"
_ORDERS = r"(?:instructions?|prompts?|directions?|rules?|guidelines?|commands?|text|lines?|review|analysis|everything|above)"

RULES: dict[str, re.Pattern[str]] = {
    name: re.compile(rule, re.I | re.S)
    for name, rule in {
        "ignore": rf"\b(?:ignore|disregard|forget|override|skip)\b[^.!?]{{0,30}}\b{_BEFORE}\b[^.!?]{{0,30}}\b{_ORDERS}\b"
        rf"|\b(?:ignore|disregard|forget|override|skip) (?:the )?(?:{_ORDERS} (?:you were given|above)|everything above)\b"
        r"|\bskip the analysis\b"
        r"|\b(?:new|final|real) instruction\b|\bdo not read the rest\b"
        r"|\b(?:ignoriere|vergiss)\b.{0,40}\b(?:anweisung|oben)"
        r"|\b(?:ignore|oublie)\b.{0,40}\b(?:instructions précédentes|précède)\b"
        r"|\b(?:ignora|olvida)\b.{0,40}\b(?:instrucciones|arriba)\b|(?:忽略|忘记|无视).{0,12}(?:指令|提示)"
        r"|(?:игнорируй|забудь).{0,40}(?:инструкци|выше)",
        "demand": rf"\b(?:answer|respond|reply|repl(?:ies)|classify|label|mark|treat|record(?:ed)?|score|set|permitted)\b"
        rf"(?:\W+\w+){{0,7}}?\W+{_ANSWER}{_END}"
        rf"|\b(?:say|says|said|print|output|return|speak|call (?:this|it)|add|end(?:s)? with|conclude with)\W+(?:the\W+)?"
        rf"(?:(?:word|label|only)\W+){{0,2}}{_ANSWER}{_END}"
        rf"|\b(?:every|all|the sentiment of everything|any) ?(?:review|text|input|entr)?\w* (?:is|are|as) {_ANSWER}{_END}",
        "task": rf"{_TASK}\b[^.!?]{{0,80}}?{_ANSWER}|{_ANSWER}[^.!?]{{0,60}}?\b(?:sentiment|classifier|label)\b",
        "persona": r"\byou are (?:now|hereby)\b.{0,60}\b(?:assistant|classifier|model|bot|\w+bot|ai|mode)\b"
        r"|\b(?:act as|pretend|simulate|assume the role|let us play|imagine)\b.{0,60}"
        r"\b(?:ai|assistant|classifier|model|robot)\b"
        rf"|\bas an ai\b|\bfrom now on (?:you|every|all)\b|\bdeveloper mode\b|\brobot that may\b|\balways said \W?{_ANSWER}\b"
        r"|\bdu bist jetzt\b.{0,40}\b(?:programm|assistent)|\btu es désormais un assistant|\bahora eres un asistente"
        r"|\beres un asistente|你现在是|теперь ты",
        "leak": r"\b(?:system|hidden|initial) (?:prompt|instructions)\b|\b(?:your|the) (?:initial |full )?prompt\b"
        r"|\b(?:repeat|reveal|print|quote|dump|show|list)\b.{0,30}"
        r"\b(?:text above|conversation so far|you were given|you have seen|your instructions)|\bwhat were your instructions\b",
        "turn": r"<\|[\w ]{2,30}\|>|<(?:start|end)_of_turn>|\[/?inst\]|<</?sys>>|</?s>\s*\[|\"role\"\s*:"
        r"|#{2,3}\s*(?:instruction|response|system|human|assistant|user|review|input|output)\b"
        r"|\b(?:human|user)\s*:.{0,200}\bassistant\s*:|(?:^|[\n.>\"])\s*assistant\s*:"
        r"|\bsystem(?: prompt[^:]{0,20})?\s*:.{0,80}\b(?:you|label|classif|sentiment|answer|ignore)",
        "field": r"\b(?:sentiment|label|classification)\s*(?:[:=]|:=)"
        rf"|\b(?:answer|output|a)\s*[:=]\s*\W?(?:yes, )?{_ANSWER}\b|(?:->|=>)\s*{_ANSWER}\b|\breview\s*:.{{0,300}}\breview\s*:",
        "format": r"[\"']\s*[}\]]+\s*[,{\[]|[{,]\s*\\?[\"']\w+\\?[\"']\s*:\s*\\?[\"']|[\"']\s*;\s*\w+\s*:="
        r"|</?(?:review|system|instructions?|label|text|data|user|assistant|prompt|input|output|sentiment)>|\]\]>|<!\[cdata"
        r"|display\s*:\s*none|\[/?(?:output|end of input|end of data)\]",
        "end": r"\b(?:end of (?:user |the |marked )?(?:text|review|data|input|quote|document)|end quote|the data ends here)\b"
        r".{0,60}\b(?:answer|label|output|instruction|system|sentiment|respond|task)",
    }.items()
}

_SIGNS = (
    *("positi", "negati", "négatif", "neutral", "положит", "отрицат", "正面", "负面"),
    *(
        "ignor",
        "disregard",
        "forget",
        "overrid",
        "skip",
        "oublie",
        "vergiss",
        "olvida",
        "忽略",
        "忘记",
        "无视",
        "игнор",
        "забудь",
    ),
    *(
        "instruction",
        "prompt",
        "you are now",
        "you are hereby",
        "act as",
        "pretend",
        "simulat",
        "assume the role",
        "let us play",
    ),
    *(
        "imagine",
        "as an ai",
        "from now on",
        "developer mode",
        "robot that",
        "du bist",
        "tu es",
        "eres un",
        "你现在是",
        "теперь ты",
    ),
    *(
        "text above",
        "so far",
        "you were given",
        "you have seen",
        "do not read",
        "<|",
        "_of_turn",
        "inst]",
        "sys>",
        "s>",
        "role",
    ),
    *("##", "assistant", "system", "sentiment", "label", "classification", "review", "{", "}", ":=", "</", "]]>", "cdata"),
    *("display", "[output", "[/output", "[end of", "end of", "end quote", "data ends"),
)
"""A text without any of them falls under no rule: most texts are told so in microseconds."""

_SQUEEZED = re.compile(
    r"(?:ignore|disregard|forget|override)(?:all|any|the|your|every|previous|prior|earlier|above)+(?:instruct|prompt|rules|review)"
    r"|(?:answer|respond|classify|label)(?:with|this|review|as|the|word|is)+(?:positive|negative)"
)
_JOINED = re.compile("[\u200b\u200c\u200d\u200e\u200f\u2060-\u206f\u202a-\u202e\ufeff\xad]+")
_TAGS = re.compile("[\U000e0020-\U000e007e]{4,}")
_OVERRIDE = re.compile("\u202e([^\u202c]*)\u202c?")
_BLOB = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}[\s:]?){12,}")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")
_LOOKALIKE = str.maketrans("аеорсухіјѕԁһӏАВЕКМНОРСТХІЅαεοριυνΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcyxijsdhlABEKMHOPCTXISaeopiuvABEZHIKMNOPTYX")
_FIGURES = str.maketrans("4310$75@", "aeiostsa")
_LETTERED = re.compile(r"[a-z][431057@$]|[431057@$][a-z]", re.I)
_LATIN, _OTHER = re.compile("[a-zA-Z]"), re.compile("[\u0370-\u03ff\u0400-\u04ff]")
_FOREIGN = re.compile("[\u0400-\u04ff\u0590-\u06ff\u0900-\u097f\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_ENGLISH_ANSWER = re.compile(r"(?<![a-z])(?:positive|negative)(?![a-z])", re.I)


def reasons(text: str) -> tuple[str, ...]:
    """Names of the rules that the text, or what it is in disguise, falls under; empty for an opinion."""
    found: dict[str, None] = {}
    for name, seen in _views(text):
        low = seen.lower()
        for rule, pattern in RULES.items() if any(sign in low for sign in _SIGNS) else ():
            if pattern.search(seen):
                found[f"{rule}, {name}" if name else rule] = None
        if name == "" and len(_FOREIGN.findall(seen)) > 5 and _ENGLISH_ANSWER.search(seen):
            found["answer in English"] = None  # among words of another script
    if any(_readable(part) for part in _decoded(text)):
        found["encoded"] = None
    if _SQUEEZED.search("".join(filter(str.isalpha, _plain(text).lower()))):
        found["squeezed"] = None
    return tuple(found)


def _plain(text: str) -> str:
    """Without invisible characters, and letters in their plainest form."""
    return _JOINED.sub("", text if text.isascii() else unicodedata.normalize("NFKC", text))


def _views(text: str) -> Iterator[tuple[str, str]]:
    """The text as it is read by people, and by whoever undoes a disguise; the name of each, "" for the first."""
    plain = _plain(text)
    yield "", plain
    if "&" in plain and (seen := html.unescape(html.unescape(plain))) != plain:
        yield "entities", seen
    if plain.count("%") > 2 and (seen := unquote(plain)) != plain:
        yield "percent", seen
    if len(_ESCAPE.findall(plain)) > 3:
        yield "escapes", _ESCAPE.sub(lambda m: chr(int(m[1] or m[2], 16)), plain)
    if _LATIN.search(plain) and _OTHER.search(plain):
        yield "look-alikes", plain.translate(_LOOKALIKE)
    if _LETTERED.search(plain):
        yield "figures", plain.translate(_FIGURES)
    if plain.isascii():
        yield "rot13", codecs.encode(plain, "rot13")
    if spans := _OVERRIDE.findall(text):
        yield "turned", " ".join(span[::-1] for span in spans)
    if spans := _TAGS.findall(text):
        yield "tags", " ".join("".join(chr(ord(c) - 0xE0000) for c in span) for span in spans)


def _decoded(text: str) -> Iterator[bytes]:
    for blob in _BLOB.findall(text):
        try:
            yield b64decode(blob.rstrip("=") + "=" * (-len(blob.rstrip("=")) % 4), altchars=b"-_", validate=False)
        except (Error, ValueError):
            continue
    for blob in _HEX.findall(text):
        yield bytes.fromhex("".join(c for c in blob if c not in " :\n\t"))


def _readable(raw: bytes) -> bool:
    """Whether these are words: printable, spaces among letters."""
    if len(raw) < 10 or not all(32 <= byte < 127 or byte in (9, 10) for byte in raw):
        return False
    return b" " in raw and sum(chr(byte).isalpha() for byte in raw) > 0.6 * len(raw)
