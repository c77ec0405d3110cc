"""What an operator may set of language models and of what they read: items, pictures and reviews."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from longgame.language.shield import Marks
from longgame.precision import Precision
from longgame.settings.base import Count, Section, Texts
from longgame.settings.spans import Duration


class Language(Section):
    """How item texts are read."""

    model: Literal["minilm", "e5", "words", "combined", "hashing", "remote"] = "minilm"
    """minilm is a real sentence encoder for English (extra `language`), e5 one for a hundred languages (extra `multilingual`),
    words the mean of static word vectors (extra `words`); combined is minilm, words and spelling side by side, the best for
    long descriptions; hashing needs no download and knows only spelling; remote is
    the server of the section remote."""
    precision: Precision = "auto"
    """Of minilm: bfloat16 is three times as fast on processors that have it, and slow on others; auto sees which. Vectors
    of the two differ a little, so each makes its own: say which where machines of both sorts are to share a data folder."""
    small: str = ""
    """A language model of your own that answers questions and writes in the place of SmolLM2 (extra `llm`): a .gguf file, or a
    folder as transformers saves one."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads while reading; 0: one for each core that this process may use, and one alone for e5 and llama.cpp, whose threads
    wait for each other and which another busy process makes slower with more."""
    width: Annotated[int, Field(ge=2)] = 64
    """Numbers in an item vector: minilm's are projected down to it."""


class ReadingSection(Section):
    """What is read from items beside vectors (`longgame understand --what tags,attributes,descriptions`)."""

    tags: Annotated[int, Field(ge=2, le=2000)] = 200
    """Tags in the vocabulary, at most; it is built from the catalogue, and anew once a tenth of that is other items."""
    chooser: Literal["auto", "smollm", "llama.cpp", "remote", "none"] = "auto"
    """Who answers closed questions: smollm is a small language model (extra `llm` and its weights), llama.cpp that or the .gguf
    file of language.small, as small in memory as in the file (extra `llama`), remote the chat model of the section remote, none
    leaves the encoder alone; auto sees what is installed, and asks neither a server nor llama.cpp."""
    writer: Literal["auto", "smollm", "llama.cpp", "remote", "template"] = "auto"
    """Who words descriptions and profiles, likewise (smollm and llama.cpp need the extra `generate` too); what fails the checks
    the template says."""
    attributes: Mapping[str, str | Texts] = {"year": "year", "size": "size", "colour": "colour"}
    """Name to a type (year, size, colour), found in texts, or to options that a model may tell: { sex = ["women", "men"] }."""
    thin: Count = 12
    """Words of a text up to which an item gets a description."""
    use: bool = False
    """Whether tags and attributes that were read join the item vectors, in training and evaluation: each is a fact of its item,
    and facts become vectors as those of a graph do (section knowledge)."""
    width: Count = 64
    """Numbers that an item gets from them, at most."""
    describe: bool = False
    """Whether item vectors also tell what the encoder reads in descriptions that were made, in training and evaluation; an item
    without one has its own text twice."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """What they count beside the text, which counts 1."""


class PicturesSection(Section):
    """Pictures of items, read by a network for photographs (`longgame understand --what pictures`, extra `pictures`)."""

    use: bool = False
    """Whether they join the item vectors, in training and evaluation; an item without one is placed by its text."""
    folder: str = ""
    """Where the paths of a catalogue's pictures begin; nothing outside of it is read. Empty: the folder pictures in
    data.folder."""
    width: Count = 64
    """Numbers that an item gets from its picture, at most."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """What they count beside the text, which counts 1."""


class RemoteSection(Section):
    """The server that reads texts where language.model is remote, and that questions can be asked of: any that speaks OpenAI's
    protocol (extra `remote`)."""

    url: str = "http://localhost:11434/v1"
    """Where it is, with the path: this is Ollama's."""
    model: str = ""
    """Its name there, of an embedding model."""
    width: Annotated[int, Field(ge=0)] = 0
    """Numbers in a vector of that model; must be said."""
    chat: str = ""
    """Name there of a chat model, which answers questions and writes objects."""
    marks: Marks = "delimited"
    """How that model tells strangers' texts from what it is asked: delimited has << and >> round them, datamarked ^ round them
    and for each blank, and the prompt says so; none has neither. Another value asks anew."""
    key_env: str = ""
    """Environment variable that holds the key, if the server wants one; the key itself is written nowhere, and not sent over
    plain http to a host on the internet."""
    timeout: Duration = timedelta(seconds=60)
    """For one call, from the first byte to the last."""
    tries: Count = 4
    """Of one call: what may pass is tried again after a pause that doubles. Of a question too, if its answer is none."""
    concurrency: Count = 4
    """Calls under way at a time."""
    batch: Count = 64
    """Texts in a call."""
    calls: Annotated[int, Field(ge=0)] = 0
    """Calls that one reading of the catalogue may make, further tries counted; 0: no bound."""
    tokens: Annotated[int, Field(ge=0)] = 0
    """Tokens that one reading of the catalogue may use, as the server counts them; 0: no bound."""
    price: Annotated[float, Field(ge=0)] = 0.0
    """Of a million tokens that are sent, in any currency: what `understand --plan` and budget reckon with."""
    price_out: Annotated[float, Field(ge=0)] = 0.0
    """Of a million tokens that come back."""
    budget: Annotated[float, Field(ge=0)] = 0.0
    """Money that one reading may cost, in the currency of price; no call is made that could pass it. 0: no bound."""
    answer: Count = 1024
    """Tokens of one answer of the chat model, at most."""
    batches: bool = False
    """Whether all is asked for in batches (/v1/batches): half the price at OpenAI's, and answers within a day. A run that is
    stopped goes on with the same batch."""
    poll: Duration = timedelta(seconds=60)
    """Between two looks at a batch."""


class ReviewsSection(Section):
    """What people write of items, read as how much they like them: `longgame understand --what reviews`."""

    features: bool = False
    """Whether it joins the item vectors: mean, how sure that is, and how many, one voice for each user and item."""
    reader: Literal["smollm", "items", "remote"] = "smollm"
    """smollm is a small language model (extra `llm`) beside language.model; items is language.model alone, which is faster;
    remote is the chat model of the section remote beside language.model, which is asked about aspects too."""
    rated: Texts = ("rating",)
    """Kinds whose value is a rating: those with a text teach what a text without one is worth."""
    unrated: Texts = ("review",)
    """Kinds whose text says what they are worth."""
    learned: Annotated[int, Field(ge=20)] = 2_000
    """Newest rated reviews that are learned from, at most."""
    aspects: Texts = ()
    """What reviews are asked about besides, where they name it, in words as people write them: ["battery", "screen"] (extra
    `llm`). Each is told of an item by itself, and joins the item vectors with the rest."""
    adapter: str = ""
    """One that `longgame adapt` made: it tells what it learned, aspects or what is said on the whole, better than the model as
    it is."""
