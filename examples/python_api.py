"""The Python API: a trained network on a video of one's own.

python examples/recognition.py             # trains runs/mine
python examples/python_api.py runs/mine my_videos/val/star/00.mp4
"""

import sys

import torch

import vidrec
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.pyav import VideoReader

run, video = sys.argv[1:]

# 1. The network, in evaluation mode. Its description says how it is to be used: classes, clip, and
#    how the videos of a test are sampled, resized and cropped.
net = vidrec.load_model(run)
about = net.description
print(f"{about.task} of {', '.join(about.class_names)}, trained on data={about.data}")

# 2. What it says about the file, by the clips and crops of a test.
found = net.predict(video, topk=len(about.class_names))
for one in found.topk:
    print(f"{one.score:.3f} {one.name}")

# 3. Frames that are in memory go in directly: (T, H, W, 3) uint8, of any size. These are those of
#    the file, and the scores those of one view.
with VideoReader(accurate=True).open(video) as source:
    whole = CropPlan((0, 0, source.width, source.height), (source.height, source.width))
    frames = source.read(range(source.num_frames), whole)
with torch.inference_mode():
    scores = net(frames).softmax(-1)[0]
print("one view:", net.class_names[scores.argmax()])

# 4. Features of the whole video, for a search or a classifier of one's own.
print("features:", net.features(video).shape)
