"""Measures how long parsing a mail takes, beside mail-parser alone on the same bytes in the same minute.

    python -m benchmarks.parse [--rounds N]

For each kind of mail: microseconds for mail-parser (``parse_from_bytes``), for ``ingest.parse.parse``, and the ratio
(below 1: ours is faster). Then parsing and extracting through the pool of parser processes, one
mail at a time and all at once.
"""

import argparse
import asyncio
import base64
import os
import random
import statistics
import time
from collections.abc import Callable, Mapping

import mailparser

from ingest.parse import parse
from ingest.parse_pool import ParsePool

_SENTENCE = "the printer on second floor still shows an error after restart and I have tried both trays again"
_WORDS = _SENTENCE.split()
_HEADER = """\
Return-Path: <j.mueller@customer.example>
Received: from mx1.customer.example (mx1.customer.example [192.0.2.1])
\tby mx.ravenna.example (Postfix) with ESMTPS id 4XYZ12
\tfor <help+TAI-42@mail.ravenna.example>; Mon, 2 Nov 2026 10:00:03 +0100 (CET)
Received: from [10.0.0.7] (client.customer.example [192.0.2.7])
\tby mx1.customer.example with ESMTPSA id abc123; Mon, 2 Nov 2026 10:00:01 +0100
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=customer.example; s=s1;
\th=from:to:subject:date:message-id; bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
\tb=dzdVyOfAKCdLXdJOc9G2q8LoXSlEniSbav+yuU4zGeeruD00lszZVoG4ZHRNiYzRTqSKnnGDDDGG
From: =?utf-8?q?J=C3=BCrgen_M=C3=BCller?= <j.mueller@customer.example>
To: Support <help+TAI-42@mail.ravenna.example>
Cc: "Doe, John" <john@customer.example>
Subject: Re: [TAI-42] =?utf-8?q?Drucker_geht_nicht_f=C3=BCr_mich?=
Message-ID: <CAFx1234567890abcdef@mail.customer.example>
In-Reply-To: <tai-42-1@mail.ravenna.example>
References: <tai-42-0@mail.ravenna.example> <tai-42-1@mail.ravenna.example>
Date: Mon, 2 Nov 2026 10:00:00 +0100
MIME-Version: 1.0
X-Mailer: Example Mailer 16.0
"""


def _text(size: int, chance: random.Random) -> str:
    lines: list[str] = []
    while sum(map(len, lines)) < size:
        lines.append(" ".join(chance.choices(_WORDS, k=11)) + "\n")
    return "".join(lines)


def _html(size: int, chance: random.Random) -> str:
    style = 'style="font-family:Calibri,sans-serif;font-size:11pt;margin:0cm"'
    rows = (
        f'<p class="MsoNormal" {style}><span lang="EN-GB">{line}</span></p>\n'
        for line in _text(size, chance).splitlines()
    )
    return "<html><head></head><body>\n" + "".join(rows) + "</body></html>\n"


def _multipart(kind: str, *parts: tuple[str, bytes]) -> bytes:
    boundary = f"=_{kind}_1234567890"
    body = (
        "".join(f"--{boundary}\n{head}\n\n{octets.decode('latin-1')}\n" for head, octets in parts) + f"--{boundary}--\n"
    )
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\n\n{body}'.encode("latin-1")


def _mails(chance: random.Random) -> Mapping[str, bytes]:
    plain = "Content-Type: text/plain; charset=utf-8"
    markup = "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit"
    file = 'Content-Type: application/pdf; name="scan.pdf"\nContent-Transfer-Encoding: base64'
    alternative = _multipart(
        "alternative", (plain, _text(8_000, chance).encode()), (markup, _html(18_000, chance).encode())
    )

    def attached(size: int) -> bytes:
        octets = base64.encodebytes(chance.randbytes(size))
        return _multipart("mixed", (plain, _text(3_000, chance).encode()), (file, octets))

    entities = {
        "text 4 KB": f"{plain}\n\n{_text(3_000, chance)}".encode(),
        "html 57 KB": alternative,
        "attachment 500 KB": attached(375_000),
        "attachment 5 MB": attached(3_750_000),
    }
    return {name: (_HEADER.encode() + entity).replace(b"\n", b"\r\n") for name, entity in entities.items()}


def _microseconds(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e6


def _compare(mails: Mapping[str, bytes], rounds: int) -> None:
    print(f"{'mail':<20}{'bytes':>10}{'mail-parser us':>16}{'parse us':>10}{'ratio':>8}")
    for name, content in mails.items():
        count = max(3, min(rounds, rounds * 50_000 // len(content)))
        theirs = _microseconds(lambda content=content: mailparser.parse_from_bytes(content), count)  # type: ignore[misc] # a default binds the loop's variable
        ours = _microseconds(lambda content=content: parse(content), count)  # type: ignore[misc] # as above
        print(f"{name:<20}{len(content):>10}{theirs:>16.0f}{ours:>10.0f}{ours / theirs:>8.2f}")


async def _through_the_pool(mails: Mapping[str, bytes], rounds: int) -> None:
    size = os.cpu_count() or 1
    parser_pool = ParsePool(processes=size, seconds=20, memory_bytes=1 << 30)
    await parser_pool.start()
    print(f"\n{'mail':<20}{'one by one us':>16}{f'{size} processes us':>16}{'mails/s':>10}")
    try:
        for name, content in mails.items():
            count = max(size * 3, min(rounds, rounds * 50_000 // len(content)))
            begin = time.perf_counter()
            for _ in range(count):
                await parser_pool.parse_and_extract(content)
            alone = (time.perf_counter() - begin) / count
            begin = time.perf_counter()
            await asyncio.gather(*(parser_pool.parse_and_extract(content) for _ in range(count)))
            together = (time.perf_counter() - begin) / count
            print(f"{name:<20}{alone * 1e6:>16.0f}{together * 1e6:>16.0f}{1 / together:>10.0f}")
    finally:
        await parser_pool.stop()


def main() -> None:
    """Run the measurement and print its figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=400, help="how often each small mail is read")
    rounds = arguments.parse_args().rounds
    mails = _mails(random.Random(42))
    _compare(mails, rounds)
    asyncio.run(_through_the_pool(mails, rounds))


if __name__ == "__main__":
    main()
