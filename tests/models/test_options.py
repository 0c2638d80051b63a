"""Options that networks pass on to the one they are built on: all of them, with the same types."""

import inspect
from typing import get_type_hints

import pytest

from vidrec.models.backbones.mobilenet_v2 import MobileNetV2, MobileNetV2Options
from vidrec.models.backbones.mobileone import MobileOne, MobileOneOptions
from vidrec.models.backbones.resnet import ResNet, ResNetOptions
from vidrec.models.backbones.resnet3d import ResNet3d, ResNet3dOptions
from vidrec.models.backbones.slowfast import PathwayOptions
from vidrec.models.localizer import SoftNMS, SoftNMSOptions


@pytest.mark.parametrize(
    ("kind", "options", "own"),
    [
        (ResNet, ResNetOptions, {"depth"}),
        (ResNet3d, ResNet3dOptions, {"depth", "extra_channels"}),  # lateral connections have those
        (MobileNetV2, MobileNetV2Options, set()),
        (MobileOne, MobileOneOptions, {"arch"}),
        (SoftNMS, SoftNMSOptions, set()),
    ],
)
def test_every_argument_can_be_passed_on(kind, options, own):
    assert set(get_type_hints(options)) == set(inspect.signature(kind).parameters) - own


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (ResNet, ResNetOptions),
        (ResNet3d, ResNet3dOptions),
        (ResNet3d, PathwayOptions),
        (MobileNetV2, MobileNetV2Options),
        (MobileOne, MobileOneOptions),
        (SoftNMS, SoftNMSOptions),
    ],
)
def test_types_are_those_of_the_constructor(kind, options):
    hints = get_type_hints(kind.__init__)
    assert get_type_hints(options) == {name: hints[name] for name in get_type_hints(options)}
