"""Build the vocabulary of the built-in classifier: which words each of the 1,000 classes stands for, hypernyms included.

    python -m tools.build_vocabulary SYNSETS WORDNET tools/tag_words.toml jobs/adapters/models/efficientnet-lite0

SYNSETS is the list of the ImageNet-1k synsets in the order of the model's outputs (`imagenet_synsets.txt` of timm 1.0.31),
WORDNET the file `data.noun` of WordNet 3.0 (Debian's wordnet-base). Classes are told apart by synset, since "crane" and
"maillot" are two classes each; a word that several synsets share stands for the classes of all of them.
Writes vocabulary.json.gz, as `jobs.adapters.vocabulary` reads it, and brings its line in SHA256SUMS up to date.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.checksums import record


@dataclass(frozen=True, slots=True)
class Synset:
    """A WordNet noun: its words, best known first, and the synsets right above it."""

    words: tuple[str, ...]
    above: tuple[str, ...]


def read_wordnet(path: Path) -> dict[str, Synset]:
    """Read a WordNet `data.noun` by synset offset; its licence, at the top, is indented by two blanks."""
    nouns = {}
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith("  "):
            continue
        offset, _, _, count, *rest = line.split(" | ")[0].split()
        after = 2 * int(count, 16)
        words = tuple(word.replace("_", " ") for word in rest[:after:2])
        pointers = rest[after + 1 :]
        above = tuple(pointers[at + 1] for at in range(0, 4 * int(rest[after]), 4) if pointers[at] in ("@", "@i"))
        nouns[offset] = Synset(words, above)
    return nouns


def closure(start: Iterable[str], nouns: Mapping[str, Synset], also: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the synsets given and all above them."""
    seen: set[str] = set()
    left = list(start)
    while left:
        synset = left.pop()
        if synset not in seen:
            seen.add(synset)
            left += [*nouns[synset].above, *also.get(synset, ())]
    return seen


def vocabulary(synsets: Sequence[str], nouns: Mapping[str, Synset], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the classes' synsets and labels, and for each word its classes, the most specific and best words first."""
    covers: defaultdict[str, set[int]] = defaultdict(set)
    ranks: dict[str, tuple[bool, int]] = {}
    labels: dict[str, str] = {}
    classes = []
    for number, name in enumerate(synsets):
        own = chosen["instead"].get(name[1:], [name[1:]])
        for synset in closure(own, nouns, chosen["also"]):
            first = [nouns[synset].words[0]] if synset in own else []
            for rank, word in enumerate(chosen["classes"].get(synset) or chosen["general"].get(synset, first)):
                covers[word.lower()].add(number)
                ranks[word.lower()] = min(ranks.get(word.lower(), (True, rank)), (synset not in own, rank))
                labels.setdefault(word.lower(), _spelt(word, nouns[synset].words))
        classes.append([name, nouns[name[1:]].words[0]])
    unknown = set(chosen["bare"]["words"]) - set(covers)
    if unknown:
        raise ValueError(f"[bare] has words that are no tags: {sorted(unknown)}")
    order = sorted(covers, key=lambda word: (len(covers[word]), ranks[word], word))
    tags = [[word, labels[word], sorted(covers[word])] for word in order]
    return {"classes": classes, "tags": tags, "bare": sorted(chosen["bare"]["words"])}


def _spelt(word: str, known: Sequence[str]) -> str:
    """Return a word in WordNet's own spelling, with its capitals, where it has the word."""
    return next((other for other in known if other.lower() == word.lower()), word)


def main() -> None:
    """Read, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("synsets", "wordnet", "words", "output"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    chosen = tomllib.loads(options.words.read_text(encoding="utf-8"))
    made = vocabulary(options.synsets.read_text().split(), read_wordnet(options.wordnet), chosen)
    text = json.dumps(made, ensure_ascii=False, separators=(",", ":"))
    file = options.output / "vocabulary.json.gz"
    file.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    record(file)
    print(f"{file}: {len(made['classes'])} classes, {len(made['tags'])} tags, {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
