"""Temporal relations against loops over combinations of frames."""

import itertools

import pytest
import torch

from vidrec.models.heads.trn import MultiScaleRelations, SingleScaleRelation, TRNHead


def features(batch=2, num_segments=4, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, num_segments, channels, generator=generator)


def relation(head, clip, combination):
    """One combination of frames of one clip; the networks are in the order of fewer frames."""
    fusion = head.fc_fusion_scales[head.num_segments - len(combination)]
    return fusion(torch.cat([clip[frame] for frame in combination])[None])[0]


def all_combinations(num_segments):
    for num_frames in range(2, num_segments + 1):
        yield list(itertools.combinations(range(num_segments), num_frames))


def test_first_relations_in_evaluation():
    head = MultiScaleRelations(3, num_segments=4, num_classes=5, max_relations=2).eval()
    x = features()
    for clip, scores in zip(x, head(x), strict=True):
        taken = [c for combinations in all_combinations(4) for c in combinations[:2]]
        expected = sum(relation(head, clip, combination) for combination in taken)
        torch.testing.assert_close(scores, expected)


def test_all_relations_are_what_random_ones_give_on_average():
    head = MultiScaleRelations(3, 4, num_classes=5, max_relations=2, test_relations="all")
    x = features()
    torch.manual_seed(0)
    draws = torch.stack([head.train()(x) for _ in range(600)])
    error = draws.std(dim=0) / len(draws) ** 0.5
    assert ((draws.mean(dim=0) - head.eval()(x)).abs() < 5 * error).all()


def test_random_relations_are_distinct_and_ordered():
    head = MultiScaleRelations(3, 4, num_classes=5, max_relations=2).train()
    (clip,) = x = features(batch=1)
    choices = [itertools.combinations(c, min(2, len(c))) for c in all_combinations(4)]
    possible = torch.stack(
        [
            sum(relation(head, clip, c) for group in chosen for c in group)
            for chosen in itertools.product(*choices)
        ]
    )
    seen = set()
    for _ in range(40):
        distance = (possible - head(x)).abs().amax(dim=1)
        assert distance.min() < 1e-5
        seen.add(int(distance.argmin()))
    assert len(seen) > 20  # of 15 * 6 * 1


def test_order_of_frames_matters():
    head = MultiScaleRelations(3, 4, num_classes=5, test_relations="all").eval()
    x = features()
    assert not torch.allclose(head(x), head(x.flip(1)))


def test_head_relates_the_frames_of_a_clip():
    head = TRNHead(5, 7, num_segments=2, relation_type="TRN", hidden_dim=3, dropout_ratio=0.0)
    maps = features(4, 7, 6).unflatten(2, (2, 3))
    hidden = head.fc_cls(maps.mean(dim=(2, 3)))
    expected = torch.stack(
        [head.consensus.classifier(torch.cat([hidden[i], hidden[i + 1]])) for i in (0, 2)]
    )
    assert isinstance(head.consensus, SingleScaleRelation)
    torch.testing.assert_close(head(maps, 2), expected)


def test_exports_with_relations_fixed():
    head = TRNHead(5, 7, num_segments=3, hidden_dim=4).eval()
    maps = features(3, 7, 4).unflatten(2, (2, 2))
    exported = torch.export.export(head, (maps, 3)).module()
    torch.testing.assert_close(exported(maps, 3), head(maps, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"relation_type": "TRNSingle"}, "relation_type='TRNSingle'"),
        ({"num_segments": 1}, "num_segments=1"),
        ({"test_relations": "some"}, "test_relations='some'"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        TRNHead(5, 7, **options)


def test_another_length_of_clips_is_named():
    with pytest.raises(ValueError, match="num_segments=8, but clips have 4"):
        TRNHead(5, 7)(torch.zeros(4, 7, 1, 1), 4)
