"""The wandb dashboard of a run, which may fail without harm to the run."""

import netrc
import os
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vidrec.config import WandbConf, WandbMode

INIT_SECONDS = 30.0  # then the run is recorded offline
FINISH_SECONDS = 120.0  # then what is not uploaded stays on disk


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


def run_id(folder: Path) -> str:
    """The id under which the runs of this folder continue one curve."""
    path = folder / "wandb_id"
    if path.is_file() and (known := path.read_text().strip()):
        return known
    new = uuid.uuid4().hex[:12]
    path.write_text(new + "\n")
    return new


class Dashboard:
    """Sends rows and pictures to wandb; the first failure is warned about, then it keeps quiet.

    `WandbMode.auto` follows the environment variable WANDB_MODE if it is set, else goes online with
    a login and offline without. An online run that cannot reach its server is recorded offline:
    `wandb sync` uploads it.
    """

    def __init__(
        self, folder: Path, conf: WandbConf, config: dict[str, Any], warn: Callable[[str], None]
    ) -> None:
        """config: shown in the dashboard; warn: takes a sentence."""
        self.warn = warn
        self.run: Any = None
        mode = WandbMode(conf.mode)
        if mode is WandbMode.auto and (wanted := os.environ.get("WANDB_MODE")) in set(WandbMode):
            mode = WandbMode(wanted)
        if mode is WandbMode.disabled:
            return
        try:
            import wandb  # takes most of a second
        except Exception as error:
            self.warn(f"wandb cannot be imported, the run goes on without its dashboard: {error}")
            return
        base_url = os.environ.get("WANDB_BASE_URL") or wandb.Settings().base_url
        login = has_login(base_url)
        if mode is WandbMode.online and not login:
            self.warn(
                "runtime.wandb.mode=online without a login (WANDB_API_KEY or `wandb login`): "
                "recording offline, `wandb sync` uploads it"
            )
        modes = ["online", "offline"] if login and mode is not WandbMode.offline else ["offline"]
        for attempt in modes:
            try:
                self.run = self._start(wandb, attempt, folder, conf, config)
                return
            except Exception as error:
                then = "recording offline" if attempt == "online" else "no dashboard"
                self.warn(f"wandb did not start {attempt}, {then}: {_sentence(error)}")
                # Its background process would hold the run's id and refuse the next attempt.
                with suppress(Exception):
                    wandb.teardown()

    def _start(
        self, wandb: Any, mode: str, folder: Path, conf: WandbConf, config: dict[str, Any]
    ) -> Any:
        options: dict[str, Any] = {"console": "off", "silent": True, "init_timeout": INIT_SECONDS}
        if "finish_timeout" in type(wandb.Settings()).model_fields:  # not in older versions
            options["finish_timeout"] = FINISH_SECONDS
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
            config=config,
            allow_val_change=True,
            settings=wandb.Settings(**options),
        )
        # Ours goes back when a run resumes from an earlier checkpoint; wandb's own must not.
        run.define_metric("step")
        run.define_metric("*", step_metric="step")
        return run

    @property
    def place(self) -> str | None:
        """Where to look at the run, or how to get it there."""
        if self.run is None:
            return None
        if self.run.offline:
            return f"offline; `wandb sync {Path(self.run.dir).parent}` uploads it"
        return self.run.url

    def log(self, row: dict[str, Any]) -> None:
        if self.run is not None:
            self._try(lambda: self.run.log(row))

    def pictures(self, name: str, paths: Sequence[Path], captions: Sequence[str]) -> None:
        """Show picture files side by side under `name`."""
        if self.run is None:
            return
        import wandb

        texts: list[str | None] = list(captions) or [None] * len(paths)

        def send() -> None:
            images = [wandb.Image(str(p), caption=t) for p, t in zip(paths, texts, strict=True)]
            self.run.log({name: images})

        self._try(send)

    def finish(self, exit_code: int) -> None:
        if self.run is not None:
            self._try(lambda: self.run.finish(exit_code=exit_code))
            self.run = None

    def _try(self, send: Callable[[], None]) -> None:
        try:
            send()
        except Exception as error:
            self.warn(f"wandb failed, the run goes on without its dashboard: {_sentence(error)}")
            self.run = None


def _sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
