# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from flinkcore._native.column import Column

EVENT_MAX: Final[int]
STREAMS: Final[dict[str, dict[str, pa.DataType]]]

class NexmarkGenerator:
    def __init__(
        self,
        *,
        seed: int = 42,
        base_time_ms: int = 1_436_918_400_000,
        events_per_second: int = 10_000,
        out_of_order_group: int = 1,
        person_proportion: int = 1,
        auction_proportion: int = 3,
        bid_proportion: int = 46,
        hot_auction_ratio: int = 2,
        hot_bidder_ratio: int = 4,
        hot_seller_ratio: int = 4,
        in_flight_auctions: int = 100,
        active_people: int = 1000,
        person_bytes_avg: int = 200,
        auction_bytes_avg: int = 500,
        bid_bytes_avg: int = 100,
    ) -> None: ...
    def proportion(self, stream: str) -> tuple[int, int]: ...
    def columns(self, stream: str, names: Sequence[str], first: int, count: int) -> list[Column]: ...
