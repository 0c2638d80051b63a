"""Show where and when a recognition network sees a class in a video (Grad-CAM)."""

import argparse
import re
from pathlib import Path

from vidrec.errors import told_in_a_sentence

_EXAMPLES = """examples:
  vidrec explain runs/NAME video.mp4
  vidrec explain runs/NAME video.mp4 --label "playing guitar" --out explained
  vidrec explain runs/NAME video.mp4 --layer layer3
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="RUN|FILE|zoo://STEM", help="a run directory, or a file")
    parser.add_argument("video", help="a video file")
    parser.add_argument(
        "--out", type=Path, default=Path("explained"), metavar="DIR", help="folder (explained)"
    )
    parser.add_argument(
        "--label", metavar="NAME", help="the class, by name or number; by default the best one"
    )
    parser.add_argument(
        "--layer", metavar="NAME", help="layer whose map is shown; by default the last one"
    )
    parser.add_argument("--names", metavar="FILE", help="class names, one per line")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Entry point of `vidrec explain`."""
    given = parse(arguments)
    with told_in_a_sentence():
        explain(given)


def explain(given: argparse.Namespace) -> None:
    """Write the mp4 and the png of a video, and say what is in them."""
    # Imported here so that `--help` answers at once.
    from vidrec.api import load_model
    from vidrec.commands.predict import device_of
    from vidrec.files.atomic_write import check_writable
    from vidrec.files.signature import refuse_others, sign
    from vidrec.inference.explanation import Explainer
    from vidrec.inference.network import Network
    from vidrec.plots.heat_maps import draw_heat_strip, write_heat_video
    from vidrec.plots.overlay import ScoreRow

    check_writable(given.out, is_folder=True)
    device = device_of(given.device)
    model = load_model(given.model)
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    network = Network(model.net.to(device), model.description, model.source)
    found = Explainer(network, given.names)(given.video, given.label, given.layer)
    movie, strip = files_of(given.out, given.video, found.name)
    refuse_others([movie, strip])
    row = ScoreRow(found.name, found.score, found.score)
    write_heat_video(found.frames, found.heat, [row], movie)
    sign(movie)
    title = f"{found.name} {found.score:.2f}"
    about = (
        f"{Path(given.video).name}, view {found.view} of {found.num_views}, "
        f"{found.layer} of {Path(model.source).name}"
    )
    draw_heat_strip(found.frames, found.heat, strip, title, about)
    sign(strip)
    print(f"{given.video}: {title}, in view {found.view} of {found.num_views}, {found.layer}")
    print(f"{movie}\n{strip}")
    if not found.heat.any():
        print(f"warning: nothing in {found.layer} speaks for {found.name}: try another --layer")


def files_of(folder: Path, video: str, name: str) -> tuple[Path, Path]:
    """The mp4 and the png of a class in a video.

    >>> files_of(Path("explained"), "folder/clip.v2.mp4", "play guitar/bass")[1].as_posix()
    'explained/clip.v2.play_guitar_bass.png'
    """
    label = re.sub(r"[^\w-]+", "_", name)[:60].strip("_") or "class"
    stem = f"{Path(video).stem}.{label}"
    return folder / f"{stem}.mp4", folder / f"{stem}.png"
