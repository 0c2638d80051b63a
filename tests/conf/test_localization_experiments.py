"""Experiments of localization have the published numbers (MMAction2 1.2.0)."""

import pytest

from tests.conf.recipes import composed
from vidrec.errors import ConfigError

BMN = {
    "temporal_dim": 100,
    "boundary_ratio": 0.5,
    "num_samples": 32,
    "num_samples_per_bin": 3,
    "soft_nms_alpha": 0.4,
    "soft_nms_low_threshold": 0.5,
    "soft_nms_high_threshold": 0.9,
    "post_process_top_k": 100,
}
PEM = {
    "pem_feat_dim": 32,
    "pem_hidden_dim": 256,
    "soft_nms_alpha": 0.75,
    "soft_nms_low_threshold": 0.65,
    "soft_nms_high_threshold": 0.9,
    "post_process_top_k": 100,
}
# stem: network; lr, weight decay; epochs, milestones, val_interval; batches; features or proposals
PUBLISHED = {
    "bmn_2xb8-400x100-9e_activitynet-feature": (
        BMN | {"feat_dim": 400}, (1e-3, 1e-4), (9, [7], 1), (8, 1, 1), "csv_mean_100",
    ),
    "bmn_2xb8-2048x100-9e_activitynet-slowonly-k700-feature": (
        BMN | {"feat_dim": 2048}, (1e-3, 1e-4), (9, [7], 1), (8, 1, 1), "k700slowonly",
    ),
    "bsn_tem_1xb16-400x100-20e_activitynet-feature": (
        {"temporal_dim": 100, "tem_feat_dim": 400, "tem_hidden_dim": 512},
        (1e-3, 1e-4), (20, [7, 14], 20), (16, 16, 1), "csv_mean_100",
    ),
    "bsn_tem_1xb16-2048x100-20e_activitynet-k700-feature": (
        {"temporal_dim": 100, "tem_feat_dim": 2048, "tem_hidden_dim": 512},
        (1e-3, 1e-4), (20, [7, 14], 20), (16, 16, 1), "k700slowonly",
    ),
    "bsn_pem_1xb16-400x100-20e_activitynet-feature": (
        PEM, (1e-2, 1e-5), (20, [10], 20), (16, 1, 1), "proposals",
    ),
    "bsn_pem_1xb16-2048x100-20e_activitynet-slowonly-k700-feature": (
        PEM, (1e-2, 1e-5), (20, [10], 20), (16, 1, 1), "proposals_k700slowonly",
    ),
}  # fmt: skip


@pytest.mark.parametrize("stem", PUBLISHED)
def test_experiment_is_the_published_recipe(stem):
    net, (lr, decay), (epochs, milestones, interval), batches, folder = PUBLISHED[stem]
    conf = composed(f"experiment={stem}")
    schedule, data = conf.schedule, conf.data
    assert net.items() <= conf.model.net.items()
    assert schedule.optimizer["_target_"] == "torch.optim.Adam"
    assert (schedule.optimizer["lr"], schedule.optimizer["weight_decay"]) == (lr, decay)
    assert (schedule.epochs, schedule.val_interval) == (epochs, interval)
    assert schedule.lr["drop"]["milestones"] == milestones
    assert schedule.lr["drop"]["gamma"] == 0.1
    assert schedule.clip_norm == 40
    assert (schedule.batch_size, schedule.val_batch_size, schedule.test_batch_size) == batches
    workers = int(stem.split("xb")[0][-1])
    assert schedule.base_batch_size == workers * schedule.batch_size
    path = data.proposals if "bsn_pem" in stem else data.features
    assert path.rsplit("/", 1)[1] == folder
    assert data.train["records"]["path"] == "data/ActivityNet/anet_anno_train.json"
    assert data.val["records"]["path"] == "data/ActivityNet/anet_anno_val.json"
    assert data.metric["_target_"].endswith("AverageRecall")
    assert data.metric["records"] == data.val["records"]
    if "bsn_tem" in stem:
        assert data.labels["boundary_ratio"] == 0.1
        assert conf.model.loss["match_threshold"] == 0.5
    if "bsn_pem" in stem:
        assert (data.train["top_k"], data.val["top_k"]) == (500, 1000)


def test_proposals_are_made_with_the_published_settings():
    conf = composed("data=activitynet", config_name="proposals")
    assert (conf.top_k, conf.peak_threshold, conf.bsp_boundary_ratio) == (1000, 0.5, 0.2)
    samples = conf.num_sample_start, conf.num_sample_end, conf.num_sample_action
    assert (*samples, conf.num_sample_interp) == (8, 8, 16, 3)


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=bmn"],
        ["model=bsn_tem"],
        ["model=bsn_pem"],
        ["model=bmn", "data=thumos14"],
        ["model=bmn", "data=activitynet", "data/metric=segment_map"],
    ],
)
def test_models_and_data_fit(overrides):
    assert composed(*overrides).model.task == "localization"


ACTIVITYNET = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["data=activitynet", "data/metric=segment_map"], ACTIVITYNET),
        (["data=thumos14", "data/metric=segment_map"], [0.3, 0.4, 0.5, 0.6, 0.7]),
        (["data=thumos14"], ACTIVITYNET),  # of average recall
        (["data=thumos14", "data/metric=segment_map", "data.metric.thresholds=[0.1]"], [0.1]),
    ],
)
def test_thresholds_are_those_that_are_reported(overrides, expected):
    assert composed("model=bmn", *overrides).data.metric["thresholds"] == expected


def test_proposals_are_scored_by_map_too():
    metric = composed("model=bsn_pem", "data/metric=segment_map").data.metric
    assert metric["thresholds"] == ACTIVITYNET


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=bmn", "data=shapes"], "for localization .* data=shapes is for recognition"),
        (["model=tsn", "data=activitynet"], "for recognition .* data=activitynet is for loc"),
        (["model=bmn", "data=activitynet_proposals"], "gives proposals"),
        (["model=bmn", "+model.net.temporal_dims=4"], "did you mean 'temporal_dim'"),
    ],
)
def test_what_does_not_fit_is_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        composed(*overrides)


def test_length_and_channels_follow_the_data():
    conf = composed("model=bmn", "data=activitynet", "data.temporal_dim=64", "data.feat_dim=32")
    assert (conf.model.net["temporal_dim"], conf.model.net["feat_dim"]) == (64, 32)
    assert conf.data.labels["temporal_dim"] == conf.data.train["temporal_dim"] == 64
