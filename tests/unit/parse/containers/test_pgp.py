"""OpenPGP in the text itself."""

from ingest.model.defects import DefectKind
from ingest.parse import parse
from tests.support.mime import defect_kinds, mail, plain


def test_an_encrypted_text_is_called_so() -> None:
    assert DefectKind.ENCRYPTED in defect_kinds(
        parse(mail(plain("-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n")))
    )


def test_a_text_signed_in_line_is_read_without_its_armour() -> None:
    armoured = (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nHello,\n- -- \nAlice\n"
        "-----BEGIN PGP SIGNATURE-----\n\niQEz\n-----END PGP SIGNATURE-----\nlist footer\n"
    )
    message = parse(mail(plain(armoured)))
    assert message.text == "Hello,\n-- \nAlice\nlist footer\n"
    assert DefectKind.BODY in defect_kinds(message)
