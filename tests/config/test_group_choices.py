"""Choices of groups that cannot be used here."""

from vidrec.config import group_choices


def test_a_launcher_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    plugins = {"runtime=slurm": ("hydra_plugins.no_such", "slurm"), "x=y": ("json", "slurm")}
    monkeypatch.setattr(group_choices, "_PLUGINS", plugins)
    message = group_choices.missing_plugin("runtime=slurm")
    assert message is not None
    assert "pip install 'vidrec[slurm]'" in message
    assert group_choices.missing_plugin("x=y") is None
