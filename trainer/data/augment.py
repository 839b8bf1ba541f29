"""Random changes of a batch of training crops, in OpenCV on uint8: cheap enough for one thread."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from trainer.recipe.augment_settings import AugmentConfig

ImageBatch = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float32]

_LUMA = np.array([0.299, 0.587, 0.114])
"""Rec. 601: how bright red, green and blue are."""
_GREY = np.full((3, 3), 1 / 3)
"""Onto the grey axis of RGB."""
_ACROSS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
"""The cross product with that axis."""
_MIDDLE = 127.5
_BLUR_PX = (0.4, 1.2)
"""Standard deviation of the blur, at a crop 96 pixels wide; in proportion at others."""
_NORMAL_WIDTH_PX = 96
_SHRINK = (1.5, 3.0)
_OVAL_WIDTH = (0.55, 0.95)
"""Of the oval in which a crop shows its person, as a part of the crop's width."""
_OVAL_EDGE = 0.4
"""How softly it ends."""
_STYLE_STEP = 7
"""Every so many pixels tell the colours of a picture."""
_STYLE_GAIN = (0.6, 1.6)
"""Least and largest change of contrast; a flat picture is not blown up to a rich one's."""
_JPEG_QUALITY = (20, 60)


def augment(images: ImageBatch, config: AugmentConfig, rng: np.random.Generator) -> ImageBatch:
    """A changed copy of `images` (B, H, W, 3) RGB uint8, fixed by the state of `rng` alone.

    First who is seen and what moves the person, then light, the camera, last what stands in front.
    """
    changed = np.empty_like(images)
    images = _elsewhere(_blended(images, config, rng), config, rng)
    styles = _styles(images, config, rng)
    for image, out, style in zip(images, changed, styles, strict=True):
        mirrored = cv2.flip(image, 1) if rng.random() < config.flip else image
        moved = (_warped if config.warps else _shifted)(mirrored, config, rng)
        # An identity matrix costs as much as any other.
        coloured = cv2.transform(moved, _after(style, _colour_matrix(config, rng)))
        out[:] = _as_a_poor_camera(coloured, config, rng)
        if rng.random() < config.erase:
            _erase(out, config.erase_area, rng)
    return changed


def _blended(images: ImageBatch, config: AugmentConfig, rng: np.random.Generator) -> ImageBatch:
    """Some of the pictures with others shining through; all others as they are."""
    if not config.blend:
        return images
    blended = images.copy()
    for index, other in enumerate(rng.permutation(len(images))):
        if rng.random() < config.blend:
            share = rng.uniform(0, 0.5)
            blended[index] = cv2.addWeighted(images[index], 1 - share, images[other], share, 0)
    return blended


def _elsewhere(images: ImageBatch, config: AugmentConfig, rng: np.random.Generator) -> ImageBatch:
    """Some of the pictures with the background of others; all others as they are."""
    if not config.backdrop:
        return images
    height, width = images.shape[1:3]
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    moved = images.copy()
    for index, other in enumerate(rng.permutation(len(images))):
        if rng.random() < config.backdrop:
            beside = (across - rng.uniform(-0.1, 0.1)) / rng.uniform(*_OVAL_WIDTH)
            outside = np.clip((beside**2 + down**4 - 1) / _OVAL_EDGE + 0.5, 0, 1)
            here = images[index].astype(np.float32)
            moved[index] = here + outside * (images[other] - here) + 0.5
    return moved


def _either_way(limit: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(-limit, limit))


def _shifted(image: ImageBatch, config: AugmentConfig, rng: np.random.Generator) -> ImageBatch:
    """The crop shifted by whole pixels, its border repeated."""
    height, width = image.shape[:2]
    dy = round(_either_way(config.shift, rng) * height)
    dx = round(_either_way(config.shift, rng) * width)
    sides = max(0, -dy), max(0, dy), max(0, -dx), max(0, dx)
    padded = cv2.copyMakeBorder(image, *sides, cv2.BORDER_REPLICATE)
    return np.asarray(padded[max(0, dy) :, max(0, dx) :][:height, :width], np.uint8)


def _warped(image: ImageBatch, config: AugmentConfig, rng: np.random.Generator) -> ImageBatch:
    """The crop shifted, turned, scaled, stretched and tilted by one warp."""
    height, width = image.shape[:2]
    size = np.array([width, height], np.float32)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * (size - 1)
    angle = np.radians(_either_way(config.rotation_degrees, rng))
    stretch = np.sqrt(1.0 + _either_way(config.aspect, rng))
    zoom = (1.0 + _either_way(config.scale, rng)) * np.array([stretch, 1 / stretch])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (size - 1) / 2
    target = (corners - middle) * zoom @ turn.T + middle
    target += rng.uniform(-config.shift, config.shift, 2) * size
    target += rng.uniform(-config.perspective, config.perspective, (4, 2)) * size
    matrix = cv2.getPerspectiveTransform(corners, target.astype(np.float32))
    warped = cv2.warpPerspective(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.uint8)


def _styles(images: ImageBatch, config: AugmentConfig, rng: np.random.Generator) -> Matrix:
    """(B, 3, 4): for each picture the affine map of RGB that moves its colours to another one's."""
    styles = np.tile(np.eye(3, 4, dtype=np.float32), (len(images), 1, 1))
    if not config.restyle:
        return styles
    pixels = images.reshape(len(images), -1, 3)[:, ::_STYLE_STEP].astype(np.float32)
    means, spreads = pixels.mean(axis=1), pixels.std(axis=1) + 1.0
    for index, other in enumerate(rng.permutation(len(images))):
        if rng.random() < config.restyle:
            share = rng.uniform()
            mean = means[index] + share * (means[other] - means[index])
            spread = spreads[index] + share * (spreads[other] - spreads[index])
            gain = np.clip(spread / spreads[index], *_STYLE_GAIN)
            styles[index, :, :3] = np.diag(gain)
            styles[index, :, 3] = mean - gain * means[index]
    return styles


def _after(first: Matrix, second: Matrix) -> Matrix:
    """(3, 4): one affine map of RGB, then another."""
    both = second[:, :3] @ first
    both[:, 3] += second[:, 3]
    return both


def _colour_matrix(config: AugmentConfig, rng: np.random.Generator) -> Matrix:
    """Brightness, contrast, saturation and hue as one affine map of RGB, (3, 4).

    Each row of the linear part sums to 1 before contrast: grey stays grey.
    """
    gain = 1.0 + _either_way(config.contrast, rng)
    offset = 255.0 * _either_way(config.brightness, rng)
    colour = 0.0 if rng.random() < config.grey else 1.0 + _either_way(config.saturation, rng)
    turn = np.radians(_either_way(config.hue_degrees, rng))
    hue = _GREY + np.cos(turn) * (np.eye(3) - _GREY) + np.sin(turn) * _ACROSS
    linear = gain * (colour * np.eye(3) + (1.0 - colour) * _LUMA) @ hue
    if config.white_balance:
        linear = linear * (1.0 + rng.uniform(-config.white_balance, config.white_balance, 3))
    constant = np.full((3, 1), (1.0 - gain) * _MIDDLE + offset)
    return np.hstack([linear, constant]).astype(np.float32)


def _as_a_poor_camera(
    image: ImageBatch, config: AugmentConfig, rng: np.random.Generator
) -> ImageBatch:
    height, width = image.shape[:2]
    if rng.random() < config.shrink:
        by = rng.uniform(*_SHRINK)
        small = max(1, round(width / by)), max(1, round(height / by))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < config.blur:
        sigma = rng.uniform(*_BLUR_PX) * width / _NORMAL_WIDTH_PX
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    if rng.random() < config.jpeg:
        quality = int(rng.integers(*_JPEG_QUALITY, endpoint=True))
        # The codec takes it for BGR, and gives it back as such: only the weights of its
        # brightness and colour planes are swapped, which no one can tell.
        _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return image


def _erase(image: ImageBatch, area: tuple[float, float], rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    pixels = rng.uniform(*area) * height * width
    aspect = np.exp(rng.uniform(np.log(0.3), np.log(3.3)))
    h = int(np.clip(np.sqrt(pixels * aspect), 1, height - 1))
    w = int(np.clip(np.sqrt(pixels / aspect), 1, width - 1))
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    image[top : top + h, left : left + w] = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
