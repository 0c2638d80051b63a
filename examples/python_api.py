"""The Python API: a trained network on a video of one's own.

python examples/recognition.py             # trains runs/mine
python examples/python_api.py runs/mine my_videos/val/star/00.mp4
"""

import sys

import torch
from hydra.utils import instantiate

import vidrec
from vidrec.data.clips.records import Records

run, video = sys.argv[1:]

# 1. The network, in evaluation mode. Its description says how it is to be used: classes, clip, and
#    how the videos of a test are sampled, resized and cropped.
net = vidrec.load_model(run)
about = net.description
print(f"{about.task} of {', '.join(about.class_names)}, trained on data={about.data}")

# 2. The video, prepared as in the test: a dataset of one record, whose label is not looked at.
dataset = instantiate(
    {"_target_": "vidrec.data.clips.dataset.VideoDataset", **about.preprocessing},
    records=Records.pack([video], [0]),
)
batch = dataset.collate([dataset[0]])

# 3. Scores, averaged over the clips and crops of the video.
with torch.inference_mode():
    scores = net.predict(batch)["scores"][0]
for score, label in zip(*scores.sort(descending=True), strict=True):
    print(f"{score:.3f} {about.class_names[label]}")

# 4. Frames of one's own go in directly, as uint8: N videos, V views, T frames, H, W, C. The network
#    normalises them. These are 3 frames of noise.
frames = torch.randint(256, (1, 1, 3, 56, 56, 3), dtype=torch.uint8)
with torch.inference_mode():
    print("noise:", net.predict({"video": frames})["scores"].tolist())
