"""Video files of a folder, a list or a single path."""

from pathlib import Path

VIDEO_EXTENSIONS = (
    ".mp4",
    ".avi",
    ".mkv",
    ".webm",
    ".mov",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".flv",
    ".wmv",
)


def list_videos(videos: str) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the files: of a folder, a list or one file."""
    path = Path(videos)
    if path.is_dir():
        found = [p for p in path.rglob("*") if p.suffix.lower() in VIDEO_EXTENSIONS]
        if not found:
            raise FileNotFoundError(
                f"videos={videos} holds no files of {', '.join(VIDEO_EXTENSIONS)}"
            )
        return path, sorted(found)
    if not path.is_file():
        raise FileNotFoundError(f"videos={videos}: give a folder, a list of paths or a video file")
    if path.suffix.lower() in VIDEO_EXTENSIONS:
        return path.parent, [path]
    listed = [Path(line) for line in path.read_text().splitlines() if line.strip()]
    return path.parent, [p if p.is_absolute() else path.parent / p for p in listed]
