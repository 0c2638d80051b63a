import numpy as np

from vidrec.metrics.box_matching import BoxedActions, true_positives


def test_matching_equals_a_loop_over_boxes():
    rng = np.random.default_rng(3)
    size, num_truth = 400, 60
    corner = rng.uniform(0, 0.5, (size, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.1, 0.5, (size, 2))], axis=1)
    truth = boxes[:num_truth] + rng.uniform(-0.05, 0.05, (num_truth, 4))
    rows, actions = rng.integers(0, 4, size), rng.integers(1, 4, size)
    true_rows, true_actions = rng.integers(0, 4, num_truth), rng.integers(1, 4, num_truth)
    scores = rng.permutation(size) / size
    found = BoxedActions(rows, boxes, actions)
    ours = true_positives(found, scores, BoxedActions(true_rows, truth, true_actions), 0.5)
    taken, expected = set(), np.zeros(size, bool)
    for k in np.argsort(-scores):
        box, row, action = boxes[k], rows[k], actions[k]
        overlaps = {
            i: overlap(box, truth[i])
            for i in range(num_truth)
            if (true_rows[i], true_actions[i]) == (row, action)
        }
        best = max(overlaps, key=overlaps.__getitem__, default=None)
        if best is not None and overlaps[best] >= 0.5 and best not in taken:
            expected[k] = True
            taken.add(best)
    assert expected.sum() > 20
    np.testing.assert_array_equal(ours, expected)


def overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)
