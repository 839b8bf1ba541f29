from __future__ import annotations

import pytest

from edge_reid.core.errors import GalleryError
from edge_reid.gallery.identity import identity_key, identity_name


@pytest.mark.parametrize(
    "name", ["a", "Zoë", "李小龍", "Anna Müller-Lüdenscheidt (Lager 3)", "x" * 64]
)
def test_names_people_have_are_kept(name):
    assert identity_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "   ", "x" * 65, "two\nlines", "tab\there", "nul\0", "\u202eevil"]
)
def test_names_nobody_can_read_are_refused(name):
    with pytest.raises(GalleryError, match="expected 1 to 64 printable characters"):
        identity_name(name)


def test_blanks_around_a_name_and_ways_to_write_an_accent_do_not_count():
    assert identity_name("  Zoë ") == identity_name("Zoe\u0308") == "Zoë"


def test_case_and_width_do_not_make_another_person():
    assert identity_key("ALICE") == identity_key("alice") == identity_key("Ａｌｉｃｅ")
    assert identity_key("Straße") == identity_key("STRASSE")
    assert identity_key("Alice") != identity_key("Alicia")
