"""Follow random answers of several grammars and write a hash of 12,000 masks: masks.py OUT MODEL.

The same program runs in each host.
"""

import hashlib
import sys
from pathlib import Path

import gemel

JSON = r"""
root   ::= value
value  ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" (string ":" value ("," string ":" value)*)? "}"
array  ::= "[" (value ("," value)*)? "]"
string ::= "\"" char{0,300} "\""
char   ::= [^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
"""
GRAMMARS = (
    JSON,
    "root ::= .{0,2000}",
    'root ::= ([a-z]{1,40} "\\n")*',
    'root ::= "a" root root | "b" | !<[5]>{0,3} [^a]',
    'root ::= "[" item ("," item)* "]"\nitem @unique ::= string\nstring ::= "\\"" [a-e,]{0,9} "\\""',
    'root ::= word (" " word){0,90} "."\nword ::= [A-Za-zÀ-ÿ]{1,12} | [0-9]{1,5} | "€" | [一-龥]{1,4}',
)
MASKS, ANSWER = 2000, 80  # of each grammar; ids of an answer


def main(out: str, path: str) -> None:
    seen = hashlib.sha256()
    number = n = 0
    with gemel.open(path, threads=1) as model:
        library, room = model._library, model._library.alloc(model.n_vocab)
        for text in GRAMMARS:
            with model.grammar(text) as grammar, model.sampler(temperature=0, grammar=grammar) as sampler:
                length = 0
                for _ in range(MASKS):
                    with sampler.handle as address:
                        count = library.call("gemel_sampler_allowed", address, room)
                        allowed = bytes(library.read(room.address, room.size))
                        seen.update(allowed)
                        n += count > 0
                        ids = [id for id, one in enumerate(allowed) if one]
                        number = (number * 6364136223846793005 + 1442695040888963407) % 2**64
                        length += 1
                        if length < ANSWER and len(ids) > 1:
                            library.call("gemel_sampler_accept", address, ids[(number >> 33) % len(ids)])
                        else:
                            library.call("gemel_sampler_reset", address)
                            length = 0
    Path(out).write_text(f"{n} {seen.hexdigest()}")


main(*sys.argv[1:])
