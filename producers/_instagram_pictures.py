"""Generated pictures: small landscapes, plates and nights of shapes and gradients. Nobody is in them.

`picture(scene, seed)` is a pure function: the same arguments give the same bytes with the same version of Pillow.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw

SIZE = 320  # pixels, both ways
Colour = tuple[int, int, int]


def picture(scene: str, seed: str) -> bytes:
    """A JPEG of 320 by 320 pixels of one of SCENES."""
    draw = random.Random(f"picture {scene} {seed}")
    image = SCENES[scene](draw)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82)
    return file.getvalue()


def _near(draw: random.Random, colour: Colour, spread: int = 28) -> Colour:
    red, green, blue = (min(255, max(0, part + draw.randint(-spread, spread))) for part in colour)
    return red, green, blue


def _gradient(top: Colour, bottom: Colour) -> Image.Image:
    mask = Image.linear_gradient("L").resize((SIZE, SIZE))
    return Image.composite(Image.new("RGB", (SIZE, SIZE), bottom), Image.new("RGB", (SIZE, SIZE), top), mask)


def _disc(canvas: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: Colour) -> None:
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _ridge(draw: random.Random, canvas: ImageDraw.ImageDraw, height: float, rough: float, colour: Colour) -> None:
    waves = [(draw.uniform(0.5, 4), draw.uniform(0, 6.3), rough / number) for number in range(1, 5)]
    points = [
        (x, height + sum(size * math.sin(x / SIZE * 6.3 * often + phase) for often, phase, size in waves))
        for x in range(0, SIZE + 8, 8)
    ]
    canvas.polygon([(0, SIZE), *points, (SIZE, SIZE)], fill=colour)


def _mountains(draw: random.Random) -> Image.Image:
    image = _gradient(_near(draw, (90, 150, 215)), _near(draw, (240, 205, 180)))
    canvas = ImageDraw.Draw(image)
    _disc(canvas, draw.uniform(40, 280), draw.uniform(30, 110), draw.uniform(14, 30), (255, 240, 200))
    for number in range(4):
        _ridge(
            draw,
            canvas,
            130 + 45 * number,
            44 - 8 * number,
            _near(draw, (120 - 25 * number, 135 - 15 * number, 140 - 25 * number), 12),
        )
    return image


def _meadow(draw: random.Random) -> Image.Image:
    image = _gradient(_near(draw, (120, 190, 245)), _near(draw, (225, 240, 250), 10))
    canvas = ImageDraw.Draw(image)
    _disc(canvas, draw.uniform(40, 280), draw.uniform(40, 90), 26, (255, 225, 110))
    for number in range(2):
        _ridge(draw, canvas, 190 + 40 * number, 18, _near(draw, (110 - 25 * number, 180 - 20 * number, 80), 20))
    for _ in range(draw.randint(20, 50)):
        _disc(
            canvas, draw.uniform(0, SIZE), draw.uniform(240, SIZE), draw.uniform(2, 5), _near(draw, (235, 130, 150), 60)
        )
    return image


def _sea(draw: random.Random) -> Image.Image:
    image = _gradient(_near(draw, (190, 210, 225)), _near(draw, (235, 225, 210), 15))
    canvas = ImageDraw.Draw(image)
    horizon = draw.uniform(130, 200)
    canvas.rectangle((0, horizon, SIZE, SIZE), fill=_near(draw, (60, 110, 140)))
    for _ in range(40):
        x, y = draw.uniform(-20, SIZE), draw.uniform(horizon + 6, SIZE)
        canvas.line((x, y, x + draw.uniform(15, 60), y), fill=_near(draw, (110, 160, 185)), width=2)
    x, hull = draw.uniform(60, 260), horizon + draw.uniform(10, 40)
    canvas.polygon(
        [(x - 26, hull), (x + 26, hull), (x + 16, hull + 12), (x - 16, hull + 12)], fill=_near(draw, (120, 60, 50))
    )
    canvas.polygon([(x, hull - 60), (x, hull - 4), (x + 24, hull - 4)], fill=(245, 240, 230))
    return image


def _storm(draw: random.Random) -> Image.Image:
    image = _gradient(_near(draw, (35, 35, 50), 15), _near(draw, (110, 100, 110)))
    canvas = ImageDraw.Draw(image)
    for _ in range(14):
        _disc(canvas, draw.uniform(0, SIZE), draw.uniform(0, 90), draw.uniform(25, 60), _near(draw, (70, 70, 85), 20))
    x, y = draw.uniform(80, 240), 70.0
    points = [(x, y)]
    while y < 250:
        x, y = x + draw.uniform(-30, 30), y + draw.uniform(20, 45)
        points.append((x, y))
    canvas.line(points, fill=(255, 250, 190), width=5)
    _ridge(draw, canvas, 260, 14, _near(draw, (30, 30, 35), 8))
    return image


def _plate(draw: random.Random) -> Image.Image:
    image = _gradient(_near(draw, (165, 120, 80)), _near(draw, (120, 85, 60)))
    canvas = ImageDraw.Draw(image)
    _disc(canvas, 160, 160, 125, (245, 245, 240))
    _disc(canvas, 160, 160, 100, _near(draw, (230, 228, 220), 8))
    for _ in range(draw.randint(8, 22)):
        angle, away = draw.uniform(0, 6.3), draw.uniform(0, 70)
        colour = _near(draw, draw.choice([(200, 70, 50), (90, 150, 60), (230, 180, 70), (150, 95, 60)]))
        _disc(canvas, 160 + away * math.cos(angle), 160 + away * math.sin(angle), draw.uniform(8, 26), colour)
    return image


def _lights(draw: random.Random) -> Image.Image:
    image = _gradient(_near(draw, (20, 10, 40), 10), _near(draw, (70, 20, 80), 25))
    canvas = ImageDraw.Draw(image)
    for _ in range(draw.randint(25, 50)):
        colour = _near(draw, draw.choice([(255, 60, 150), (70, 200, 255), (255, 220, 80), (130, 90, 255)]))
        _disc(canvas, draw.uniform(0, SIZE), draw.uniform(0, SIZE), draw.uniform(4, 22), colour)
    for _ in range(5):
        x = draw.uniform(0, SIZE)
        canvas.line((x, 0, x + draw.uniform(-120, 120), SIZE), fill=_near(draw, (240, 240, 255), 12), width=3)
    return image


def _forest(draw: random.Random) -> Image.Image:
    image = _gradient(_near(draw, (170, 190, 170)), _near(draw, (85, 110, 80)))
    canvas = ImageDraw.Draw(image)
    for number in range(26):
        x, foot = draw.uniform(-10, SIZE + 10), 150 + number * 7
        height = draw.uniform(90, 150)
        colour = _near(draw, (60 - number, 105 - 2 * number, 60 - number), 10)
        canvas.polygon([(x, foot - height), (x - height / 4, foot), (x + height / 4, foot)], fill=colour)
    return image


def _banners(draw: random.Random) -> Image.Image:
    image = _gradient(_near(draw, (200, 205, 215)), _near(draw, (150, 150, 160)))
    canvas = ImageDraw.Draw(image)
    for _ in range(draw.randint(4, 7)):
        x, y = draw.uniform(10, 230), draw.uniform(60, 190)
        canvas.line((x + 40, y, x + 40, SIZE), fill=(110, 85, 60), width=5)
        canvas.rectangle(
            (x, y, x + 80, y + 52), fill=_near(draw, draw.choice([(210, 60, 60), (60, 110, 200), (60, 160, 90)]))
        )
        for line in range(3):
            canvas.line(
                (x + 10, y + 13 + 13 * line, x + draw.uniform(40, 70), y + 13 + 13 * line),
                fill=(250, 250, 250),
                width=4,
            )
    return image


SCENES: dict[str, Callable[[random.Random], Image.Image]] = {
    "mountains": _mountains,
    "meadow": _meadow,
    "sea": _sea,
    "storm": _storm,
    "plate": _plate,
    "lights": _lights,
    "forest": _forest,
    "banners": _banners,
}
