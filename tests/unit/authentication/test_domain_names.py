"""Domain names in the form in which they are compared."""

import pytest

from ingest.authentication.domain_names import is_registrable, to_ascii


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("例え。example", "xn--r8jz45g.example"),
        ("_dmarc.my-firm.example", "_dmarc.my-firm.example"),
        ("", ""),
        ("a..b", ""),
        (".example", ""),
        ("a b.example", ""),
        ("[192.0.2.1]", ""),
        ("-a.example", ""),
        ("a" * 64 + ".example", ""),
        ("a." * 200 + "example", ""),
        ("a\0.example", ""),
        ("a\u202e.example", ""),
        ("\ud800.example", ""),
        ("xn--\u0430.example", ""),
    ],
)
def test_a_domain_is_written_in_one_way(written: str, name: str) -> None:
    assert to_ascii(written) == name


@pytest.mark.parametrize(("name", "can"), [("customer.example", True), ("localhost", False), ("192.0.2.1", False)])
def test_a_name_of_one_label_and_an_address_belong_to_nobody(name: str, can: bool) -> None:
    assert is_registrable(name) is can
