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
    white_balance: Share = 0.0
    """Red, green and blue are each multiplied by 1 ± this."""
    restyle: Share = 0.0
    """Chance of taking on colours of another picture of the batch: of each channel, mean and
    standard deviation are moved towards the other's, by a random part of the way (Reinhard et al.,
    "Color Transfer between Images", IEEE CG&A 2001, here in RGB)."""
    blend: Share = 0.0
    """Chance of having another picture of the batch shine through, up to half and half (Zhang et
    al., "mixup", ICLR 2018): shows nobody, so only teachers asked online can say what it is."""
    backdrop: Share = 0.0
    """Chance of standing before what is behind another picture's person: what lies outside of a
    soft oval, where a crop shows its person, is taken from there."""
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
UNSEEN = CCTV.model_copy(
    update={
        "rotation_degrees": 4.0,
        "aspect": 0.1,
        "saturation": 0.35,
        "hue_degrees": 8.0,
        "white_balance": 0.15,
        "restyle": 0.5,
        "backdrop": 0.5,
        "grey": 0.08,
        "jpeg": 0.15,
        "erase": 0.4,
        "erase_area": (0.02, 0.3),
    }
)
"""For a model that is to know people under cameras it never saw: two cameras of one site may show a
coat blue and grey. Weak colour changes (saturation 0.08, no restyle) left rank-1 on PKU-Reid, whose
two cameras differ so, where it was (31.8 %); these, still without other backdrops, took it to
40.5 % in 4,900 steps at 128 × 64."""
PRESETS = {"standard": STANDARD, "cctv": CCTV, "unseen": UNSEEN}
