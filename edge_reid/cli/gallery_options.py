"""Options that `gallery` and `probe` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GalleryOption = Annotated[Path, typer.Option("--gallery", "-g", help="The gallery's file.")]
ModelOption = Annotated[
    Path | None, typer.Option(help="Embedding model. [default: the shipped one]")
]
DetectorOption = Annotated[
    Path | None, typer.Option(help="Person detector. [default: the shipped one]")
]
BoxOption = Annotated[
    str | None, typer.Option(help="Where the person is in the photo: x1,y1,x2,y2 in pixels.")
]
LargestOption = Annotated[
    bool, typer.Option("--largest", help="Of several people take the most prominent.")
]
TemplateOption = Annotated[
    list[int] | None,
    typer.Option(metavar="NUMBER", help="Only this one, as `gallery show` has it. Repeatable."),
]
DEFAULT_GALLERY = Path("gallery.db")
