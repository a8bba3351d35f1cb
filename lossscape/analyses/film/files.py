"""Films as files: animated GIF with one palette for all frames, MP4 where ffmpeg is installed, and a still."""

import functools
import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from lossscape.analyses.film.figure import BUILDERS, scale_of
from lossscape.analyses.film.result import Film
from lossscape.errors import BadInput, RunFailed, one_of
from lossscape.figures.levels import Scale
from lossscape.figures.style import save
from lossscape.files import write_bytes
from lossscape.progress import Progress
from lossscape.signals import Interrupted, stop_on_signals

FORMATS = ("gif", "mp4")
FPS = 8
DPI = 100
HELD_SECONDS = 2.0
"""How long the last frame stays, before a GIF begins anew."""
COLOURS = 127
"""Of the palette; more make files larger, and bands and text need no more."""
NEARLY_WHITE = 248
SAMPLED = 5
"""Frames that the palette is made from."""


def parse_formats(text: str | None) -> list[str]:
    """The formats of `--format gif,mp4`; by default gif, and mp4 where ffmpeg is found.

    Raises BadInput for an unknown one, or for mp4 without ffmpeg.
    """
    found = shutil.which("ffmpeg") is not None
    if text is None:
        return list(FORMATS if found else FORMATS[:1])
    formats = list(dict.fromkeys(word.strip() for word in text.split(",")))
    for name in formats:
        if name not in FORMATS:
            raise BadInput(one_of("--format", name, FORMATS))
    if "mp4" in formats and not found:
        raise BadInput(
            "--format mp4: is made by ffmpeg, which is not installed: install it (apt install ffmpeg, brew install "
            "ffmpeg), or use --format gif"
        )
    return formats


def draw_film(
    film: Film,
    kind: str,
    formats: Sequence[str] = FORMATS[:1],
    *,
    fps: float = FPS,
    log: bool = False,
    quiet: bool = True,
) -> list[Path]:
    """Write one kind of film into its folder, and its last frame as PNG; returns the files.

    fps: frames a second; log: a logarithmic scale. Raises BadInput, RunFailed where ffmpeg fails, or Interrupted.
    """
    scale, count = scale_of(film, kind, log), len(film.rows(kind))
    picture = functools.partial(_picture, film, kind, scale)
    still = film.folder / f"{kind}.png"
    save(BUILDERS[kind](film, -1, scale=scale), still)
    some = {frame: picture(frame) for frame in np.linspace(0, count - 1, SAMPLED, dtype=int).tolist()}
    palette = _palette([*some.values()])
    frames: list[Image.Image] = []
    with (
        movie(film.folder / f"{kind}.mp4" if "mp4" in formats else None, fps) as add,
        stop_on_signals() as stop,
        Progress(f"drawing {kind}", count, "frames", quiet=quiet) as progress,
    ):
        for frame in range(count):
            image = some[frame] if frame in some else picture(frame)
            frames.append(image.quantize(palette=palette, dither=Image.Dither.NONE))
            for _ in range(1 if frame < count - 1 else max(round(fps * HELD_SECONDS), 1)):
                add(image)
            progress.advance(1)
            if stop.number is not None:
                raise Interrupted(stop.number, "the same command once more (what was evaluated is kept)")
    written = [film.folder / f"{kind}.{name}" for name in formats]
    if "gif" in formats:
        write_bytes(film.folder / f"{kind}.gif", gif(frames, fps))
    return [*written, still]


def gif(frames: Sequence[Image.Image], fps: float) -> bytes:
    """An animated GIF of frames with one palette, which runs for ever and holds the last frame."""
    each = (
        max(round(100 / fps), 2) * 10
    )  # milliseconds; a GIF counts hundredths, and viewers slow one of them down
    durations = [each] * (len(frames) - 1) + [max(each, round(1000 * HELD_SECONDS))]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=False,
        disposal=1,
    )  # fmt: skip
    return buffer.getvalue()


def _picture(film: Film, kind: str, scale: Scale, frame: int) -> Image.Image:
    """A frame as RGB."""
    figure = BUILDERS[kind](film, frame, scale=scale)
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def _palette(pictures: Sequence[Image.Image]) -> Image.Image:
    """The colours that serve several pictures of one size best."""
    width, height = pictures[0].size
    together = Image.new("RGB", (width, height * len(pictures)))
    for place, picture in enumerate(pictures):
        together.paste(picture, (0, place * height))
    found = together.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    colours = np.array(found.getpalette()).reshape(-1, 3)
    colours[(colours >= NEARLY_WHITE).all(axis=1)] = 255  # the paper is a mean with what is nearly white
    found.putpalette(colours.ravel().tolist())
    return found


@contextmanager
def movie(path: Path | None, fps: float) -> Iterator[Callable[[Image.Image], None]]:
    """Gives what takes the frames of an MP4, one size all; it is written when all went well. None: nothing is made."""
    if path is None:
        yield lambda image: None
        return
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
        made, process = Path(folder) / "film.mp4", None

        def add(image: Image.Image) -> None:
            nonlocal process
            process = process or _ffmpeg(image.size, fps, made, said)
            try:
                assert process.stdin is not None
                process.stdin.write(image.tobytes())
            except BrokenPipeError:
                raise RunFailed(_told(path, said)) from None

        try:
            yield add
        except BaseException:
            if process is not None:
                process.kill()
            raise
        finally:
            if process is not None:
                process.communicate()
        if process is None or process.returncode != 0:
            raise RunFailed(_told(path, said))
        write_bytes(path, made.read_bytes())


def _ffmpeg(
    size: tuple[int, int], fps: float, path: Path, said: io.BufferedRandom
) -> "subprocess.Popen[bytes]":
    """A process that takes RGB frames of a size; H.264 in pixels that every player shows, which needs even sides."""
    words = [
        "ffmpeg", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}",
        "-r", f"{fps:g}", "-i", "-", "-an", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white", "-c:v", "libx264",
        "-crf", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path),
    ]  # fmt: skip
    return subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said,
        start_new_session=True,  # Ctrl-C is for us, who then stop it
    )  # fmt: skip


def _told(path: Path, said: io.BufferedRandom) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines() or ["it says nothing"]
    return f"{path}: ffmpeg failed: {lines[-1]}; use --format gif"
