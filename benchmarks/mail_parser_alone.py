"""How many mails a second mail-parser parses alone: ``python -m benchmarks.mail_parser_alone FOLDER``."""

import sys
import time
from pathlib import Path

import mailparser


def main() -> None:
    contents = [path.read_bytes() for path in Path(sys.argv[1]).iterdir()]
    for content in contents[:20]:
        mailparser.parse_from_bytes(content)
    begun = time.perf_counter()
    for content in contents:
        mailparser.parse_from_bytes(content)
    print(len(contents) / (time.perf_counter() - begun))


if __name__ == "__main__":
    main()
