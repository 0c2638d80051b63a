"""Everything in which tasks differ; no other shared code depends on the task."""

from vidrec.config import schema
from vidrec.config.schema import TrainConf
from vidrec.tasks import detection, localization, recognition
from vidrec.tasks.task import Task

TASKS: dict[schema.Task, Task] = {
    schema.Task.recognition: recognition,
    schema.Task.detection: detection,
    schema.Task.localization: localization,
}


def task_of(conf: TrainConf) -> Task:
    """The task of a checked configuration."""
    return TASKS[conf.model.task]
