"""Who belongs to the federation: every change of it, and nothing but changes.

The rules, beyond those of :mod:`gateway.trust`:

* A name belongs to whoever was approved first. Until then an enrolment may be
  replaced by the holder of the same statement key at any time, and by anybody
  once its challenges have lapsed or an operator has rejected it (suspended it
  before it was ever approved). A withdrawn member's name is free again.
* A prefix has one holder, from its approval on, also while that member is
  suspended, until it is withdrawn. A longer prefix inside another's is another
  prefix and may have its own holder: the longest one answers.
* A key has one holder, from the moment its possession is proven; a revoked key, and
  every key of a withdrawn member, belongs to the past and to nobody ever again. So
  the keys of two authorities are never merged, not even of two of one name.
* A suspension keeps everything the member published, so that approving it again
  restores it.

Every change runs to its end in a task of its own: a caller that goes away in
the middle leaves neither half a change nor a memory that lags behind. What an
operator or a member does is in the audit, in the same transaction. What strangers
hand in is not, until an operator acts on it: anybody may enrol.
"""

from __future__ import annotations

from gateway.hub.approving import Approving
from gateway.hub.constraining import Constraining
from gateway.hub.enrolling import Enrolled as Enrolled
from gateway.hub.key_changes import KeyChanges
from gateway.hub.publishing import Publishing
from gateway.hub.registry_base import Changed as Changed


class Registry(Approving, Constraining, KeyChanges, Publishing):
    """See the module; how each change goes, in the modules it is put together from."""
