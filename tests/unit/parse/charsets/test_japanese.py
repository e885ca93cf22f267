"""Japanese mail in ISO-2022-JP."""

from ingest.parse import parse
from tests.support.mime import entity, mail

JAPANESE = "お世話になっております。"


def test_the_body_of_an_ordinary_japanese_mail_is_read() -> None:
    message = parse(
        mail(
            entity("text/plain; charset=ISO-2022-JP", JAPANESE.encode("iso2022_jp"), "Content-Transfer-Encoding: 7bit")
        )
    )
    assert (message.text, message.defects) == (JAPANESE, ())
