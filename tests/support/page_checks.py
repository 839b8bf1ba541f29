"""What must hold of every page, as a browser shows it."""

from __future__ import annotations

import json

from support.browser import Browser
from support.node_packages import node_package

IS_WIDE = "document.documentElement.scrollWidth > innerWidth"
UNNAMED = """[...document.querySelectorAll('button, a, input:not([type=hidden]), img, svg[role]')]
  .filter((one) => !(one.getAttribute('aria-label') || one.alt || one.textContent.trim()
    || (one.labels && one.labels.length))).map((one) => one.outerHTML)"""
LOW_CONTRAST = """(() => {
  const light = (rgb) => { const [r, g, b] = rgb.map((c) => { c /= 255;
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4 });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 4).map(Number);
  const ground = (node) => { for (; node; node = node.parentElement) {
    const found = rgb(getComputedStyle(node).backgroundColor);
    if (found.length < 4 || found[3] > 0) return found.slice(0, 3); } return [255, 255, 255] };
  return [...document.querySelectorAll('body *')].filter((node) => node.offsetParent
    && [...node.childNodes].some((part) => part.nodeType === 3 && part.data.trim())).map((node) => {
    const [one, other] =
      [light(rgb(getComputedStyle(node).color).slice(0, 3)), light(ground(node))];
    return [node.className + ' ' + node.textContent.trim().slice(0, 20),
      (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)] })
    .filter(([, contrast]) => contrast < 4.5) })()"""
_GRAVE = ("serious", "critical")


def is_well_made(browser: Browser) -> None:
    browser.wait_for("getComputedStyle(document.body).margin === '0px'")  # its style has come
    assert not browser.evaluate(IS_WIDE), "it is wider than the window"
    assert browser.evaluate(UNNAMED) == [], "a screen reader has no word for it"
    assert browser.evaluate(LOW_CONTRAST) == []
    assert browser.evaluate("document.title") != "caught"


def has_no_grave_axe_finding(browser: Browser) -> None:
    """What axe-core finds of the page that is open."""
    program = node_package("axe-core") / "axe.min.js"
    browser.evaluate(f"{program.read_text()};0")
    browser.evaluate(
        "window.found = null; axe.run().then((all) => { window.found = all.violations"
        f".filter((one) => {json.dumps(_GRAVE)}.includes(one.impact))"
        ".map((one) => [one.id, one.nodes.map((node) => node.html)]) }); 0"
    )
    browser.wait_for("window.found !== null")
    found = browser.evaluate("window.found")
    assert found == [], found
