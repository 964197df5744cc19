"""Step 1: whose images are these? A folder of images becomes contributors with fingerprints, and a list of problems.

    from tasks.partition import partition
    parts = partition(study.data, study.model.resolution)

`python -m tasks.partition.openmoji --out data/openmoji` makes a data folder to look at.
"""

from tasks.partition.partition import attribution, partition
from tasks.partition.types import Contributor, DataError, Image, Partition, Problem

__all__ = ["Contributor", "DataError", "Image", "Partition", "Problem", "attribution", "partition"]
