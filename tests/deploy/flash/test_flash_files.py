"""Network connections and the kernel's command line, as they come to stand on a card."""

from __future__ import annotations

import configparser

import pytest

from deploy.flash.cmdline import with_setup
from deploy.flash.wifi import FixedAddress, Wifi, psk_of
from edge_reid.core.errors import UsageError


def test_the_key_of_a_network_is_that_of_the_standard() -> None:
    """IEEE 802.11i, annex H.4."""
    assert psk_of("IEEE", "password") == (
        "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"
    )
    assert psk_of("ThisIsASSID", "ThisIsAPassword") == (
        "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"
    )
    assert psk_of("any", "AB" * 32) == "ab" * 32


@pytest.mark.parametrize("password", ["", "seven77", "x" * 64, "überlang genug"])
def test_what_no_network_can_have_for_a_password_is_said_without_it(password: str) -> None:
    with pytest.raises(UsageError, match="expected a password of 8 to 63 ASCII") as refused:
        psk_of("cctv", password)
    assert not password or password not in str(refused.value)


def test_no_name_of_a_network_can_say_more_than_its_name() -> None:
    evil = "a;b]\n[x=y é"
    table = configparser.ConfigParser(interpolation=None)
    table.read_string(Wifi(evil, "DE", "0" * 64).connection())
    numbers = table["wifi"]["ssid"].strip(";").split(";")
    assert bytes(map(int, numbers)).decode() == evil
    assert table["wifi-security"]["psk"] == "0" * 64
    assert set(table) == {"DEFAULT", "connection", "wifi", "wifi-security", "ipv4", "ipv6"}


def test_a_fixed_address_of_the_sixth_version() -> None:
    table = configparser.ConfigParser()
    fixed = FixedAddress("2001:db8::17/64", "2001:db8::1", ("192.0.2.1", "2001:db8::53"))
    table.read_string(fixed.connection())
    assert dict(table["ipv6"]) == {
        "method": "manual",
        "address1": "2001:db8::17/64",
        "gateway": "2001:db8::1",
        "dns": "2001:db8::53;",
    }
    assert table["ipv4"]["method"] == "auto"


def test_the_command_line_stays_one_line_and_does_not_grow() -> None:
    once = with_setup("root=x  quiet\n\n", first_run=True, instance=None, country="DE")
    assert once.count("\n") == 1
    assert with_setup(once, first_run=True, instance=None, country="DE") == once
    assert once.split().count("cgroup_enable=memory") == 1
    moved = with_setup(once, first_run=True, instance=None, country="AT")
    assert moved == once.replace("regdom=DE", "regdom=AT")


def test_memory_is_counted_for_good_on_both_kinds_of_image() -> None:
    """The words of the firmware come before, and the last word on a matter holds."""
    for kind in ({"first_run": True, "instance": None}, {"first_run": False, "instance": "i"}):
        line = with_setup("root=x cgroup_disable=memory cgroup_enable=cpuset", **kind, country=None)
        words = line.split()
        assert words.index("cgroup_disable=memory") < words.index("cgroup_enable=memory")
        assert "cgroup_enable=cpuset" in words
        assert with_setup(line, **kind, country=None) == line
    wrong = "cgroup_enable=memory cgroup_disable=memory"
    early = with_setup(wrong, first_run=False, instance=None, country=None)
    assert early.split() == ["cgroup_disable=memory", "cgroup_enable=memory"]
