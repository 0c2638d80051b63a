"""torchvision's video networks through our recognizer against torchvision's own forward."""

import pytest
import torch

from vidrec import build
from vidrec.models.backbones.video import VideoNetwork
from vidrec.models.recognizer import Recognizer3D
from vidrec.weights.load import load_weights


@pytest.mark.parametrize(
    ("name", "frames", "size", "views"),
    [
        ("r3d_18", 4, 16, 2),
        ("swin3d_t", 4, 32, 2),
        pytest.param("mvit_v2_s", 16, 224, 1, marks=pytest.mark.slow),
    ],
)
def test_scores_are_those_of_torchvision(name, frames, size, views):
    from torchvision.models import get_model

    torch.manual_seed(0)
    theirs = get_model(name, num_classes=5).eval()
    mean, std = [100.0, 110.0, 120.0], [50.0, 55.0, 60.0]
    ours = Recognizer3D(VideoNetwork(name, 5), torch.nn.Identity(), mean, std, "score").eval()
    ours.backbone.load_state_dict(theirs.state_dict())
    video = torch.randint(0, 256, (1, views, frames, size, size, 3), dtype=torch.uint8)
    clips = (video.float() - torch.tensor(mean)) / torch.tensor(std)
    with torch.no_grad():
        expected = theirs(clips.flatten(0, 1).movedim(-1, 1)).mean(0, keepdim=True)
        scores = ours.predict({"video": video})["scores"]
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-4)


def test_weights_of_other_classes_load_but_for_the_last_layer(tmp_path):
    from torchvision.models import get_model

    theirs = get_model("r3d_18", num_classes=7)
    torch.save(theirs.state_dict(), tmp_path / "r3d_18.pth")
    ours = Recognizer3D(VideoNetwork("r3d_18", 5), torch.nn.Identity(), [0], [1])
    report = load_weights(ours, tmp_path / "r3d_18.pth")
    assert set(report.missing) == {"backbone.fc.weight", "backbone.fc.bias"}
    assert torch.equal(ours.backbone.stem[0].weight, theirs.stem[0].weight)


def test_every_network_of_torchvision_composes_by_name(compose):
    from torchvision import models

    for name in models.list_models(module=models.video):
        conf = compose("model=video", f"model.net.backbone.name={name}")
        with torch.device("meta"):
            net = build.build_net(conf.model)
        last = list(net.state_dict().values())[-1]
        assert last.shape[0] == conf.data.num_classes
        assert conf.model.weights == f"torchvision://{name}"


def test_other_channels_and_unknown_names():
    net = VideoNetwork("s3d", 5, in_channels=2)
    assert net(torch.zeros(1, 2, 16, 224, 224)).shape == (1, 5)
    with pytest.raises(ValueError, match="no video model 'r3d18'; did you mean 'r3d_18'"):
        VideoNetwork("r3d18", 5)
