"""Photos of which it is not clear whom they show.

What is wrong stands apart from what to do about it: a command line has other means than a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_reid.core.errors import PhotoError
from edge_reid.core.geometry import Box

OTHER_PHOTOS = "take other photos, or give them one by one with --box x1,y1,x2,y2"
"""What to do on a command line about several photos that show nobody."""


class UnclearPhotoError(PhotoError):
    """It is not clear whom a photo is to show.

    Args:
        what: what was expected, and what came.
        remedy: what to do on a command line.
        whom: which people came; empty: nobody.
    """

    def __init__(self, what: str, remedy: str, whom: str = "") -> None:
        self.what = what
        """What was expected, and what came."""
        self.seen = f"{what}: {whom}" if whom else what
        """The same, with the people whom a command line may choose from."""
        super().__init__(f"{self.seen}; {remedy}")


class EmptyPhotoError(UnclearPhotoError):
    """A photo shows nobody."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"photo {path}: expected a person, got nobody",
            "take another photo, or point with --box x1,y1,x2,y2",
        )


class CrowdedPhotoError(UnclearPhotoError):
    """A photo shows more than one person who may be meant.

    Args:
        path: of the photo.
        boxes: of everybody whom the detector is sure of, in the order of their numbers.
        where: they can be seen; None: the message lists the boxes.
        picture: that shows the numbers, which then need no list.
        no_picture: why there is none; empty: nobody wanted one.
    """

    def __init__(
        self,
        path: Path,
        boxes: Sequence[Box],
        where: str | None = None,
        picture: Path | None = None,
        no_picture: str = "",
    ) -> None:
        self.path = path
        self.boxes = tuple(boxes)
        self.picture = picture
        self.no_picture = no_picture
        super().__init__(
            f"photo {path}: expected one person, got {len(self.boxes)}",
            choice_of_person([self]),
            whom=where or self._listed(),
        )

    def seen_in(self, picture: Path) -> CrowdedPhotoError:
        """The same, of people whose numbers are drawn there."""
        where = f"look at {picture} for their numbers"
        return CrowdedPhotoError(self.path, self.boxes, where, picture)

    def not_drawn(self, reason: str) -> CrowdedPhotoError:
        """The same, where a picture of the numbers was wanted and cannot be had."""
        return CrowdedPhotoError(self.path, self.boxes, no_picture=reason)

    def one_of_many(self) -> CrowdedPhotoError:
        """The same, of a photo that has to wait for its picture until it is given alone."""
        return CrowdedPhotoError(self.path, self.boxes, "given alone it gets a picture")

    def _listed(self) -> str:
        people = enumerate(self.boxes, start=1)
        return "; ".join(f"{number} at {box_text(box)}" for number, box in people)


def choice_of_person(crowded: Sequence[CrowdedPhotoError]) -> str:
    """How one person of each of these photos is chosen on a command line; at least one photo."""
    are_many = len(crowded) > 1
    pictures = [photo.picture for photo in crowded if photo.picture]
    box = "--box NUMBER" if pictures else "--box, by number or as x1,y1,x2,y2"
    choose = f"give them one by one with {box}" if are_many else f"choose one with {box}"
    words = [f"{choose}, or take number 1{' of each' if are_many else ''} with --largest"]
    if pictures:
        theirs = "the pictures, delete them" if len(pictures) > 1 else "that picture, delete it"
        words.append(f"only you can read {theirs} when you have chosen")
    words += dict.fromkeys(photo.no_picture for photo in crowded if photo.no_picture)
    return "; ".join(words)


def box_text(box: Box) -> str:
    """`x1,y1,x2,y2` in whole pixels, as --box takes it."""
    return ",".join(f"{side:.0f}" for side in (box.x1, box.y1, box.x2, box.y2))
