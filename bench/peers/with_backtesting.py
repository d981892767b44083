"""backtesting.py on the same bars and rules. Arguments: bars.parquet runs. Prints seconds as JSON."""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd
import polars as pl

warnings.simplefilter("ignore")
from backtesting import Backtest, Strategy  # noqa: E402
from backtesting.lib import crossover  # noqa: E402


def ema(values, length):
    return pd.Series(np.asarray(values)).ewm(span=length, adjust=False).mean().to_numpy()


class Cross(Strategy):
    def init(self):
        self.fast = self.I(ema, self.data.Close, 10)
        self.slow = self.I(ema, self.data.Close, 30)

    def next(self):
        if crossover(self.fast, self.slow):
            self.position.close()
            self.buy(size=0.95)
        elif crossover(self.slow, self.fast):
            self.position.close()
            self.sell(size=0.95)


bars = pl.read_parquet(sys.argv[1])
frame = pd.DataFrame(
    {name.capitalize(): bars[name].to_numpy() for name in ("open", "high", "low", "close", "volume")},
    index=pd.DatetimeIndex(bars["ts"].to_numpy()),
)
seconds = []
for _ in range(int(sys.argv[2])):
    start = time.perf_counter()
    Backtest(frame, Cross, cash=1_000_000, commission=0.0002, finalize_trades=True).run()
    seconds.append(time.perf_counter() - start)
print(json.dumps({"seconds": min(seconds)}))
