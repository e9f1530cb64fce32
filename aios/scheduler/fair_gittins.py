"""Fair between tenants, quick inside each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from aios.scheduler.gittins import Gittins
from aios.scheduler.histogram import ServiceDistributions
from aios.scheduler.utilization import Utilization
from aios.scheduler.vtc import Vtc


class FairGittins(Vtc):
    """VTC between tenants, with its bound, and Gittins inside each, on what all tenants' runs have taught."""

    def __init__(
        self,
        slice: int,
        slots: int = 1,
        weights: Mapping[str, float] | None = None,
        learnt: ServiceDistributions | None = None,
    ) -> None:
        inner = partial(Gittins, slice, slots, learnt=learnt or ServiceDistributions(), load=Utilization(slots))
        super().__init__(slice, weights, inner=inner)
