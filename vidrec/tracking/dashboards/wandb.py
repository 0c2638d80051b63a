"""A run in Weights & Biases, online or recorded for `wandb sync`."""

import json
import netrc
import os
import re
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vidrec.config.schema import WandbConf, WandbMode
from vidrec.files.atomic_write import atomic_write
from vidrec.tracking.dashboards.sender import Row, sentence

ANSWER_SECONDS = 5.0  # a server that is silent for so long is not used
INIT_SECONDS = 20.0  # then the run is recorded offline
FINISH_SECONDS = 120.0  # then the rest is not uploaded, but stays on disk
FLUSH_SECONDS = 1.0  # rows of so long may be lost when the machine is killed
ID, SENT = "wandb_id", "wandb_sent.json"


def has_login(base_url: str) -> bool:
    """Whether a key for the wandb server is in the environment or in ~/.netrc."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    try:
        hosts = netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    # Keys saved before wandb moved its public server are under the older name.
    return bool({urlsplit(base_url).netloc, "api.wandb.ai"} & hosts.keys())


def check_answers(base_url: str) -> None:
    """Raise OSError if the server cannot be reached or is silent.

    wandb itself would find out after INIT_SECONDS only.
    """
    anyone = ssl.create_default_context()  # nothing is sent, so wandb decides whether to trust it
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    with suppress(urllib.error.HTTPError):  # is an answer
        urllib.request.urlopen(base_url, timeout=ANSWER_SECONDS, context=anyone).close()


def run_id(folder: Path) -> str:
    """The wandb id of the run in `folder`: that of an agent of a wandb sweep, which expects its
    run's history under it, else the same for all processes of the run.
    """
    path = folder / ID
    known = path.read_bytes().decode(errors="replace").strip() if path.is_file() else ""
    agents = os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None
    wanted = agents or (known if re.fullmatch(r"[\w-]{1,128}", known) else uuid.uuid4().hex[:12])
    if wanted != known:
        with atomic_write(path, "w") as stream:
            stream.write(f"{wanted}\n")
    return wanted


def start(
    folder: Path, conf: WandbConf, config: Mapping[str, object], warn: Callable[[str], None]
) -> "WandbDashboard | None":
    """Start or continue the run of `folder`; None if that is not wanted or impossible.

    `WandbMode.auto` follows the environment variable WANDB_MODE if it is set, else goes online with
    a login and offline without. An online run that cannot reach its server is recorded offline:
    `wandb sync` uploads it.

    config: shown in the dashboard. warn: called with a sentence.
    """
    mode = WandbMode(conf.mode)
    if mode is WandbMode.auto and (wanted := os.environ.get("WANDB_MODE")) in set(WandbMode):
        mode = WandbMode(wanted)
    if mode is WandbMode.disabled:
        return None
    try:
        import wandb  # takes most of a second
    except Exception as error:
        warn(f"wandb cannot be imported, the run continues without its dashboard: {error}")
        return None
    base_url = os.environ.get("WANDB_BASE_URL") or wandb.Settings().base_url
    login = has_login(base_url)
    if mode is WandbMode.online and not login:
        warn(
            "runtime.wandb.mode=online without a login (WANDB_API_KEY or `wandb login`): "
            "recording offline, `wandb sync` uploads it"
        )
    modes = ["online", "offline"] if login and mode is not WandbMode.offline else ["offline"]
    for attempt in modes:
        try:
            if attempt == "online":
                check_answers(base_url)
            return WandbDashboard(_init(wandb, attempt, folder, conf, config), folder, warn)
        except Exception as error:
            then = "recording offline" if attempt == "online" else "no dashboard"
            warn(f"wandb did not start {attempt}, {then}: {sentence(error)}")
            # Its background process would keep the id of the run and refuse the next attempt.
            with suppress(Exception):
                wandb.teardown()
    return None


def _init(
    wandb: Any, mode: str, folder: Path, conf: WandbConf, config: Mapping[str, object]
) -> Any:
    options: dict[str, Any] = {"console": "off", "silent": True}
    if mode == "online":
        options["init_timeout"] = INIT_SECONDS
    newer = {"finish_timeout": FINISH_SECONDS, "x_transaction_log_flush_interval": FLUSH_SECONDS}
    known = type(wandb.Settings()).model_fields  # fewer in older versions
    options |= {name: value for name, value in newer.items() if name in known}
    run = wandb.init(
        dir=str(folder),
        mode=mode,
        id=run_id(folder),
        resume="allow",
        name=folder.name[:128],  # what the server takes
        project=conf.project,
        entity=conf.entity,
        group=conf.group,
        tags=list(conf.tags),
        config=dict(config),
        allow_val_change=True,
        settings=wandb.Settings(**options),
    )
    # Curves are drawn over our step: wandb's own counter may not go back when a run resumes.
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run


class WandbDashboard:
    """Sends each row at most once to a run of wandb, however often the process is killed: wandb
    cannot take rows back.

    What was sent is noted before it is sent. A kill in between, or of wandb's own process before
    it wrote its file, loses a row in wandb instead of repeating it.
    """

    def __init__(self, run: Any, folder: Path, warn: Callable[[str], None]) -> None:
        """run: of wandb. folder: the run directory, where the last step sent is noted. warn: called
        with a sentence if that note is damaged.
        """
        self.run = run
        self._sent_file = folder / SENT
        self._all_sent = _read_sent(self._sent_file, warn)
        self._sent = self._all_sent.setdefault(run.id, {})
        offline = f"offline; `wandb sync {Path(run.dir).parent}` uploads it" if run.offline else ""
        self.place = offline or run.url

    def log(self, row: Row) -> None:
        kind = "val" if any(name.startswith("val/") for name in row) else "train"
        if row["step"] <= self._sent.get(kind, -1):
            return
        self._sent[kind] = int(row["step"])
        with atomic_write(self._sent_file, "w") as stream:
            json.dump(self._all_sent, stream)
        self.run.log(dict(row))

    def rewind(self, step: int, kept: Sequence[Row], validated: bool) -> None:
        for row in kept:  # the last ones may not have been sent before the kill
            self.log(row)

    def pictures(self, name: str, paths: Sequence[Path], captions: Sequence[str]) -> None:
        import wandb

        texts: list[str | None] = list(captions) or [None] * len(paths)
        images = [wandb.Image(str(p), caption=t) for p, t in zip(paths, texts, strict=True)]
        self.run.log({name: images})

    def video(self, name: str, path: Path) -> None:
        import wandb

        self.run.log({name: wandb.Video(str(path), format="mp4")})

    def finish(self, exit_code: int) -> None:
        self.run.finish(exit_code=exit_code)


def _read_sent(path: Path, warn: Callable[[str], None]) -> dict[str, dict[str, int]]:
    """id of a wandb run -> kind of row -> last step that was sent to it."""
    if not path.is_file():
        return {}
    try:
        said = json.loads(path.read_bytes())
        if all(isinstance(step, int) for steps in said.values() for step in steps.values()):
            return said
    except (ValueError, AttributeError, RecursionError):
        pass
    warn(f"{path} is damaged: wandb may show some rows of this run twice")
    return {}
