"""Global properties of a generative model: what contributors are credited for.

Public face: `resolve_property` turns a name from the study into a `Property`; `global_property` makes a user's own
function one. The rest are the nouns a property is computed from.
"""

from tasks.properties.networks import (
    EfficientNetLite,
    FeatureNetwork,
    Features,
    Inception,
    efficientnet_lite,
    inception,
)
from tasks.properties.registry import global_property, registered, registered_properties, resolve_property
from tasks.properties.types import Denoiser, Property, RealImages, Samples, Statistics
from tasks.properties.vision import VisionModel, feature_network, vision_network

__all__ = [
    "Denoiser",
    "EfficientNetLite",
    "FeatureNetwork",
    "Features",
    "Inception",
    "Property",
    "RealImages",
    "Samples",
    "Statistics",
    "VisionModel",
    "efficientnet_lite",
    "feature_network",
    "global_property",
    "inception",
    "registered",
    "registered_properties",
    "resolve_property",
    "vision_network",
]
