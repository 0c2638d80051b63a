import numpy as np
from PIL import Image, ImageDraw

from vidrec.plots.labelled_boxes import LabelledBox, draw_labelled_boxes


def test_labels_do_not_hide_each_other():
    layer = Image.new("RGBA", (400, 300))
    box = (100.0, 100.0, 150.0, 200.0)
    texts = [f"action number {i}" for i in range(6)]
    boxes = [LabelledBox(box, [(text, (255, 0, 10 * i))]) for i, text in enumerate(texts)]
    draw_labelled_boxes(ImageDraw.Draw(layer), boxes, 1.0, layer.size)
    together = np.asarray(layer)
    for i, one in enumerate(boxes):
        alone = Image.new("RGBA", layer.size)
        draw_labelled_boxes(ImageDraw.Draw(alone), [one], 1.0, alone.size)
        colour = [255, 0, 10 * i]

        def count(picture, colour=colour):
            return (picture[..., :3] == colour).all(axis=2).sum()

        assert count(together) == count(np.asarray(alone)) > 5
