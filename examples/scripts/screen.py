"""Screens tickers for a breakout, in threads. Knows nothing of pitboss: it prints what it always has.

python screen.py --tickers-file tickers.txt --min-score 70 --threads 4
"""

import argparse
import csv
import random
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path


def score(ticker, days, pause):
    """Score a ticker from 0 to 100 on a random walk of its own: in place of prices, which you would load here."""
    walk = random.Random(ticker)
    closes = [100.0]
    for _ in range(days):
        closes.append(closes[-1] * (1 + walk.gauss(0.0005, 0.02)))
    time.sleep(pause)
    mean = sum(closes[-50:]) / 50
    above = sum(close > mean for close in closes[-20:]) / 20
    rise = closes[-1] / min(closes[-60:]) - 1
    return round(60 * above + 40 * min(1.0, rise / 0.3), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickers-file", type=Path, required=True)
    parser.add_argument("--min-score", type=int, default=70)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.02, help="seconds a ticker takes beside computing")
    chosen = parser.parse_args()
    tickers = chosen.tickers_file.read_text().split()
    passed = []
    with sqlite3.connect("scores.db") as database, ThreadPoolExecutor(chosen.threads) as pool:
        database.execute("CREATE TABLE scores (ticker TEXT PRIMARY KEY, score REAL)")
        asked = {pool.submit(score, ticker, 250, chosen.pause): ticker for ticker in tickers}
        for count, done in enumerate(as_completed(asked), start=1):
            ticker, found = asked[done], done.result()
            database.execute("INSERT INTO scores VALUES (?, ?)", (ticker, found))
            print(f"[{count}/{len(tickers)}] {ticker} {found}", flush=True)
            if found >= chosen.min_score:
                passed.append((ticker, found))
    with open("passed.csv", "w", newline="") as file:
        csv.writer(file).writerows([("ticker", "score"), *sorted(passed, key=lambda row: -row[1])])
    print(f"{len(passed)} of {len(tickers)} passed")


if __name__ == "__main__":
    main()
