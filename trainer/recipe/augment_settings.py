"""How strongly training crops are changed at random."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trainer.recipe.settings import Settings, Share


class AugmentConfig(Settings):
    """How strongly crops are changed; all chances are per image, and all else is uniform."""

    flip: Share = 0.5
    """Chance of mirroring left to right."""
    shift: Annotated[float, Field(ge=0, lt=1)] = 0.06
    """Largest shift of the crop, as a part of its width or height; the border is repeated."""
    rotation_degrees: Annotated[float, Field(ge=0, le=45)] = 0.0
    """Largest turn either way."""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Size is multiplied by 1 ± this."""
    aspect: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Width is multiplied by 1 ± this more than height."""
    perspective: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Largest shift of each corner, as a part of width or height."""
    brightness: Share = 0.08
    """Is moved by ± this, of 255."""
    contrast: Share = 0.15
    """Is multiplied by 1 ± this."""
    saturation: Share = 0.0
    """Is multiplied by 1 ± this."""
    hue_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest turn of the colour circle either way; clothes are known by their colour: keep it
    to what white balance does."""
    grey: Share = 0.0
    """Chance of losing all colour, as at night under infrared."""
    blur: Share = 0.0
    """Chance of a slight Gaussian blur."""
    shrink: Share = 0.0
    """Chance of being shrunk 1.5 to 3 times and enlarged again, as if seen from far away."""
    jpeg: Share = 0.0
    """Chance of being compressed as JPEG of quality 20 to 60."""
    erase: Share = 0.35
    """Chance of erasing one rectangle (Zhong et al., "Random Erasing", AAAI 2020)."""
    erase_area: tuple[Share, Share] = (0.02, 0.2)
    """Smallest and largest part of the picture erased."""

    @property
    def warps(self) -> bool:
        """True when pixels are moved by more than whole steps."""
        return any((self.rotation_degrees, self.scale, self.aspect, self.perspective))


STANDARD = AugmentConfig()
CCTV = AugmentConfig(
    rotation_degrees=5.0,
    scale=0.1,
    aspect=0.08,
    perspective=0.03,
    brightness=0.12,
    contrast=0.25,
    saturation=0.3,
    hue_degrees=6.0,
    grey=0.05,
    blur=0.1,
    shrink=0.15,
    jpeg=0.15,
)
"""For small folders: what other cameras, other light and other boxes would do to them."""
PRESETS = {"standard": STANDARD, "cctv": CCTV}
