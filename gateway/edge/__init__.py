"""The checkpoint's software: ask, verify, decide, and remember nothing personal.

The room's own pipeline stands in ``decide``; other programs use ``Checkpoint``.
"""

from __future__ import annotations

from gateway.edge.checkpoint import Checkpoint as Checkpoint
from gateway.edge.client import ExchangeClient as ExchangeClient
from gateway.edge.convert import Conversion as Conversion
from gateway.edge.decide import Pipeline as Pipeline
from gateway.edge.errors import AmbiguousPresentationError as AmbiguousPresentationError
from gateway.edge.errors import Candidate as Candidate
from gateway.edge.errors import ConversionError as ConversionError
from gateway.edge.errors import ImageError as ImageError
from gateway.edge.errors import ManifestError as ManifestError
from gateway.edge.errors import PresentationError as PresentationError
from gateway.edge.errors import ReplicaError as ReplicaError
from gateway.edge.errors import SettingsError as SettingsError
from gateway.edge.keys import CheckpointKeys as CheckpointKeys
from gateway.edge.keys import create_keys as create_keys
from gateway.edge.keys import load_keys as load_keys
from gateway.edge.manifest import ManifestRow as ManifestRow
from gateway.edge.manifest import parse_manifest as parse_manifest
from gateway.edge.result import Result as Result
from gateway.edge.settings import CheckpointSettings as CheckpointSettings
from gateway.edge.settings import load_settings as load_settings
from gateway.edge.status import Fetched as Fetched
from gateway.edge.status import Status as Status
