"""Films as files: animated GIF with one palette for all frames, MP4 where ffmpeg is installed, and a still."""

import io
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from lossscape.errors import RunFailed
from lossscape.figures.how import how
from lossscape.figures.style import save
from lossscape.files import write_bytes
from lossscape.progress import Progress
from lossscape.signals import Interrupted, stop_on_signals

DPI = 100
HELD_SECONDS = 2.0
"""How long the last frame stays, before a GIF begins anew."""
COLOURS = 127
"""Of the palette; more make files larger, and bands and text need no more."""
NEARLY_WHITE = 248
NEARLY_GREY = 12
SAMPLED = 5


def write_movie(
    build: Callable[[int], Figure], count: int, path: Path, formats: Sequence[str], fps: float, quiet: bool,
    colours: Sequence[str] = (),
) -> list[Path]:  # fmt: skip
    """Write a film as path.gif and path.mp4, and its last frame as a figure, path.png; returns the files.

    build: makes the figure of a frame, from 0; count: of frames; formats: gif, mp4; fps: frames a second; colours: of
    thin lines, say #D55E00, which the GIF has as they are. Raises BadInput, RunFailed where ffmpeg fails, or
    Interrupted.
    """
    stills = save(build(count - 1), path.with_name(f"{path.name}.png"))
    path = path.with_name(f"{path.name}{how().suffix}")
    if not formats:
        return [*map(Path, stills.split("\n"))]
    some = {frame: picture(build(frame)) for frame in np.linspace(0, count - 1, SAMPLED, dtype=int).tolist()}
    palette = _palette([*some.values()], colours)
    frames: list[Image.Image] = []
    with (
        movie(path.with_name(f"{path.name}.mp4") if "mp4" in formats else None, fps) as add,
        stop_on_signals() as stop,
        Progress(f"drawing {path.name}", count, "frames", quiet=quiet) as progress,
    ):
        for frame in range(count):
            image = some[frame] if frame in some else picture(build(frame))
            frames.append(image.quantize(palette=palette, dither=Image.Dither.NONE))
            for _ in range(1 if frame < count - 1 else max(round(fps * HELD_SECONDS), 1)):
                add(image)
            progress.advance(1)
            if stop.number is not None:
                raise Interrupted(stop.number, "the same command once more (what was evaluated is kept)")
    if "gif" in formats:
        write_bytes(path.with_name(f"{path.name}.gif"), gif(frames, fps))
    return [*(path.with_name(f"{path.name}.{name}") for name in formats), *map(Path, stills.split("\n"))]


def files_of(folder: Path, name: str) -> list[Path]:
    """The files of a film that write_movie has written: of the usual scale, else of the first other one."""
    scales = [name, *sorted(path.stem for path in folder.glob(f"{name}-*.gif"))]
    found = ([folder / f"{scale}.{ending}" for ending in ("gif", "png", "mp4")] for scale in scales)
    return next(filter(None, ([file for file in files if file.exists()] for files in found)), [])


def last_frame(film: Path) -> bytes:
    """The last frame of an animated GIF as PNG."""
    with Image.open(film) as image:
        image.seek(getattr(image, "n_frames", 1) - 1)
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def gif(frames: Sequence[Image.Image], fps: float) -> bytes:
    """An animated GIF of frames with one palette, which runs for ever and holds the last frame."""
    # milliseconds; a GIF counts hundredths, and viewers slow one of them down
    each = max(round(100 / fps), 2) * 10
    durations = [each] * (len(frames) - 1) + [max(each, round(1000 * HELD_SECONDS))]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=False,
        disposal=1,
    )  # fmt: skip
    return buffer.getvalue()


def picture(figure: Figure) -> Image.Image:
    """A figure as RGB, as large as a frame."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def _palette(pictures: Sequence[Image.Image], kept: Sequence[str]) -> Image.Image:
    width, height = pictures[0].size
    together = Image.new("RGB", (width, height * len(pictures)))
    for index, picture in enumerate(pictures):
        together.paste(picture, (0, index * height))
    found = together.quantize(COLOURS - len(kept), method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    colours = np.array(found.getpalette()).reshape(-1, 3)
    colours[(colours >= NEARLY_WHITE).all(axis=1)] = 255  # the paper is a mean with what is nearly white
    grey = np.ptp(colours, axis=1) <= NEARLY_GREY
    colours[grey] = colours[grey].mean(axis=1, keepdims=True).round().astype(int)  # likewise, with what has a colour
    own = [round(255 * each) for colour in kept for each in to_rgb(colour)]
    found.putpalette([*colours.ravel().tolist()[: 3 * (COLOURS - len(kept))], *own])
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
                raise RunFailed(_complaint(path, said)) from None

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
            raise RunFailed(_complaint(path, said))
        write_bytes(path, made.read_bytes())


def _ffmpeg(size: tuple[int, int], fps: float, path: Path, said: io.BufferedRandom) -> "subprocess.Popen[bytes]":
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


def _complaint(path: Path, said: io.BufferedRandom) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines() or ["it says nothing"]
    return f"{path}: ffmpeg failed: {lines[-1]}; use --format gif"
