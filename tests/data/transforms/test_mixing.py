"""Mixes on videos whose pixels say whose they are: a pixel is what the label says it is."""

import numpy as np
import pytest
import torch

from vidrec import build
from vidrec.data.transforms.mixing import Cutmix, Mixup, OneOf, soft_labels
from vidrec.errors import ConfigError

LEVELS = torch.tensor([0.0, 30.0, 90.0, 210.0])


def batch():
    """Four videos of one grey level each, with the classes 0 to 3."""
    video = LEVELS.to(torch.uint8).reshape(4, 1, 1, 1, 1, 1).repeat(1, 2, 3, 20, 16, 3)
    return {"video": video, "label": torch.arange(4), "index": torch.arange(4)}


@pytest.mark.parametrize("mix", [Mixup(4), Cutmix(4)], ids=["mixup", "cutmix"])
def test_labels_say_how_much_of_each_video_is_seen(mix):
    torch.manual_seed(0)
    seen = []
    for _ in range(50):
        mixed = mix(batch())
        torch.testing.assert_close(mixed["label"].sum(dim=1), torch.ones(4))
        levels = mixed["video"].float().flatten(1).mean(dim=1)
        torch.testing.assert_close(levels, mixed["label"] @ LEVELS, rtol=1e-4, atol=1e-3)
        assert mixed["label"].count_nonzero(dim=1).max() <= 2
        seen.append(mixed["label"].max(dim=1).values.min().item())
    assert min(seen) < 0.6 < 0.9 < max(seen)


def test_cutmix_puts_one_rectangle_into_every_frame():
    torch.manual_seed(1)
    for _ in range(20):
        mixed = Cutmix(4)(batch())
        assert mixed["video"].dtype == torch.uint8
        changed = mixed["video"] != batch()["video"]
        for sample in changed:
            assert torch.equal(sample, sample[:1, :1].expand_as(sample))
            box = sample[0, 0, ..., 0]
            assert torch.equal(box, box.any(1, keepdim=True) & box.any(0, keepdim=True))
            rows, columns = box.any(1).nonzero(), box.any(0).nonzero()
            if len(rows):
                assert box.sum() == (rows.max() - rows.min() + 1) * (
                    columns.max() - columns.min() + 1
                )


def test_mixup_weights_follow_the_beta_distribution():
    """Beta(a, a) has the variance 1 / (8 a + 4); which of two weights is whose does not matter."""
    torch.manual_seed(0)
    mix = Mixup(4, alpha=2.0)
    partners = [mix(batch())["label"] for _ in range(1500)]
    weights = np.array([row.max() for label in partners for row in label[:1] if row.max() < 1])
    assert ((weights - 0.5) ** 2).mean() == pytest.approx(1 / 20, rel=0.1)


def test_the_batch_is_left_alone_and_keeps_what_is_not_mixed():
    given = batch()
    mixed = Cutmix(4)(given)
    assert torch.equal(given["video"], batch()["video"])
    assert torch.equal(given["label"], torch.arange(4))
    assert torch.equal(mixed["index"], given["index"])


def test_the_same_seed_mixes_in_the_same_way():
    mix = OneOf({"mixup": Mixup(4), "cutmix": Cutmix(4)})
    torch.manual_seed(5)
    first = [mix(batch()) for _ in range(4)]
    torch.manual_seed(5)
    second = [mix(batch()) for _ in range(4)]
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a["video"], b["video"])
        assert torch.equal(a["label"], b["label"])


def test_one_of_several_is_chosen_with_its_probability():
    class Named:
        num_classes = 3

        def __init__(self, name):
            self.name = name

        def __call__(self, batch):
            return {"label": self.name}

    torch.manual_seed(0)
    mix = OneOf({"a": Named("a"), "b": Named("b")}, {"a": 0.2, "b": 0.5})
    got = [mix({"label": torch.tensor([2])})["label"] for _ in range(3000)]
    names = ["neither" if isinstance(label, torch.Tensor) else label for label in got]
    assert names.count("a") / 3000 == pytest.approx(0.2, abs=0.03)
    assert names.count("b") / 3000 == pytest.approx(0.5, abs=0.03)
    # Labels are rows at every step, mixed or not.
    assert got[names.index("neither")].tolist() == [[0, 0, 1]]


def test_labels_of_several_classes_are_mixed_as_they_are():
    torch.manual_seed(0)
    rows = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    video = batch()["video"][:2]
    for _ in range(10):
        mixed = Mixup(4)({"video": video, "label": rows})["label"]
        assert torch.equal(mixed[:, 0], mixed[:, 1])
        torch.testing.assert_close(mixed.sum(dim=0).sum(), torch.tensor(4.0))


def test_classes_become_rows():
    assert soft_labels(torch.tensor([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"Mixup: alpha=0"):
        Mixup(4, alpha=0)
    with pytest.raises(ValueError, match="no choices left"):
        OneOf({"mixup": None})
    with pytest.raises(ValueError, match=r"probabilities of \['cutmix'\] and choices \['mixup'\]"):
        OneOf({"mixup": Mixup(4)}, {"cutmix": 1.0})
    with pytest.raises(ValueError, match=r"'mixup': 1\.5"):
        OneOf({"mixup": Mixup(4)}, {"mixup": 1.5})


def test_a_mix_is_chosen_changed_and_dropped_on_the_command_line(compose):
    assert build.build_mixing(compose().schedule) is None
    mix = build.build_mixing(
        compose("schedule/mixing=mixup_cutmix", "schedule.mixing.choices.cutmix.alpha=0.5").schedule
    )
    assert mix.choices["cutmix"].alpha == 0.5
    assert mix.choices["mixup"].num_classes == compose().data.num_classes
    dropped = compose("schedule/mixing=mixup_cutmix", "schedule.mixing.choices.mixup=null")
    assert list(build.build_mixing(dropped.schedule).choices) == ["cutmix"]
    assert compose("schedule/mixing=mixup", "schedule.mixing=null").schedule.mixing is None
    with pytest.raises(ConfigError, match="did you mean 'alpha'"):
        compose("schedule/mixing=mixup", "schedule.mixing.alhpa=1")
    with pytest.raises(ConfigError, match="choose schedule/mixing=NAME"):
        compose("schedule.mixing.alpha=1")
