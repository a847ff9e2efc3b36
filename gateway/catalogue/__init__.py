"""Catalogues: what regions tell each other about everybody who is not green.

A catalogue is one signed file from one region to one other for one day. Pure, and
imported by anybody:

* :mod:`header`, :mod:`rows`, :mod:`counts`: what the lines say;
* :mod:`ordering`: which file may follow which;
* :mod:`documents`: the sealed document of an identified row;
* :mod:`source`: the interface that rows are read from;
* :mod:`reading`: line by line, proved at the end.

With files and databases:

* :mod:`draft`, :mod:`ledger`, :mod:`exporting`: making one;
* :mod:`judging`, :mod:`schema`, :mod:`store`, :mod:`importing`, :mod:`taking`, :mod:`report`:
  taking one;
* :mod:`listing`: whether a pseudonym is listed, as a checkpoint asks.

Only the pure parts are named here, so that who needs a header loads no database.
"""

from __future__ import annotations

from gateway.catalogue.counts import CountKey as CountKey
from gateway.catalogue.counts import CountRow as CountRow
from gateway.catalogue.errors import CatalogueError as CatalogueError
from gateway.catalogue.errors import CatalogueFault as CatalogueFault
from gateway.catalogue.errors import CatalogueSourceError as CatalogueSourceError
from gateway.catalogue.errors import CatalogueStoreError as CatalogueStoreError
from gateway.catalogue.errors import CatalogueUseError as CatalogueUseError
from gateway.catalogue.header import CatalogueHeader as CatalogueHeader
from gateway.catalogue.header import CatalogueKind as CatalogueKind
from gateway.catalogue.header import SignedHeader as SignedHeader
from gateway.catalogue.header import shanghai_day as shanghai_day
from gateway.catalogue.header import sign_header as sign_header
from gateway.catalogue.header import verify_header as verify_header
from gateway.catalogue.rows import CatalogueRow as CatalogueRow
from gateway.catalogue.rows import IssuerScope as IssuerScope
from gateway.catalogue.rows import ReasonClass as ReasonClass
from gateway.catalogue.rows import RowOutcome as RowOutcome
from gateway.catalogue.rows import encode_row as encode_row
from gateway.catalogue.rows import parse_row as parse_row
from gateway.catalogue.source import CatalogueSource as CatalogueSource
from gateway.catalogue.source import SourcePage as SourcePage
from gateway.catalogue.source import SourceRecord as SourceRecord
