"""The changes of a gallery that the page offers, in words, and how each is taken back."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edge_reid.core.errors import GalleryError
from edge_reid.core.types import Template
from edge_reid.gallery.curation import Merged
from edge_reid.gallery.store import GalleryStore
from edge_reid.web.page_gallery import GalleryChange


def enrolled(templates: Sequence[Template], remarks: str = "") -> GalleryChange:
    """Templates of one identity that were stored just now."""
    name, numbers = templates[0].identity, _numbers(templates)
    return GalleryChange(
        f"{_count(len(numbers))} of {name} enrolled{remarks}.",
        lambda store: store.remove_templates(name, numbers),
    )


def rename(store: GalleryStore, name: str, new: str) -> GalleryChange:
    """Call somebody else. Raises as `GalleryStore.rename`."""
    store.rename(name, new)
    return GalleryChange(f"{name} is {new} from now on.", lambda other: other.rename(new, name))


def merge(store: GalleryStore, name: str, into: str) -> GalleryChange:
    """Give all that one has to another. Raises as `GalleryStore.merge`."""
    theirs = _all_of(store, name)
    merged = store.merge(name, into)
    words = f"{name} is {into} from now on; {_count(merged.moved)} moved{_doubled(merged)}."
    return _movable_back(words, merged, name, into, theirs)


def move(store: GalleryStore, name: str, into: str, number: int) -> GalleryChange:
    """Give one template to another person, who may be new. Raises as `GalleryStore.move`."""
    merged = store.move(name, into, [number])
    words = f"Template {number} of {name} was given to {into}{_doubled(merged)}."
    return _movable_back(words, merged, name, into, [number])


def disable(store: GalleryStore, name: str, number: int, reason: str) -> GalleryChange:
    """Stop using a template.

    Raises:
        GalleryError: it is not in use, or another's; or it is the only one of theirs.
    """
    numbers = _numbers(store.templates(name))
    if number not in numbers:
        raise _not_theirs(name, number)
    if len(numbers) == 1:
        raise GalleryError(
            f"template {number}: expected one of several of {name}, got the only one in use; "
            "remove the person instead"
        )
    store.disable({number: reason})
    return GalleryChange(
        f"Template {number} of {name} is not used any more.", lambda other: other.enable([number])
    )


def enable(store: GalleryStore, name: str, number: int) -> GalleryChange:
    """Use a template again; raises GalleryError when it is not disabled, or another's."""
    found = [each for each in store.disabled(name) if each.template_id == number]
    if not found:
        raise _not_theirs(name, number)
    store.enable([number])
    reason = found[0].reason
    return GalleryChange(
        f"Template {number} of {name} is used again.", lambda other: other.disable({number: reason})
    )


def remove(store: GalleryStore, name: str) -> GalleryChange:
    """Forget somebody. Raises as `GalleryStore.remove`."""
    count = store.remove(name)
    return GalleryChange(f"One person with {_count(count)} was removed, and overwritten.")


def remove_template(store: GalleryStore, name: str, number: int) -> GalleryChange:
    """Forget a template. Raises as `GalleryStore.remove_templates`."""
    is_left = store.remove_templates(name, [number])
    if is_left:
        return GalleryChange(f"Template {number} of {name} was removed, and overwritten.")
    return GalleryChange("A person was removed with their last template, and overwritten.")


def _movable_back(
    words: str, merged: Merged, name: str, into: str, numbers: Collection[int]
) -> GalleryChange:
    """A change that is taken back by moving the templates, unless some were deleted."""
    if merged.doubled:
        return GalleryChange(words)
    return GalleryChange(words, lambda store: store.move(into, name, numbers))


def _all_of(store: GalleryStore, name: str) -> list[int]:
    disabled = (each.template_id for each in store.disabled(name))
    return [*_numbers(store.templates(name)), *disabled]


def _numbers(templates: Sequence[Template]) -> list[int]:
    return [each.template_id for each in templates if each.template_id is not None]


def _count(templates: int) -> str:
    return f"{templates} template{'' if templates == 1 else 's'}"


def _doubled(merged: Merged) -> str:
    return f", {merged.doubled} of photos that both had were deleted" if merged.doubled else ""


def _not_theirs(name: str, number: int) -> GalleryError:
    return GalleryError(
        f"template {number}: expected one of {name}, got another's or none; open the person anew"
    )
