"""`pitboss data …`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pitboss.cli.exporting import write_frame
from pitboss.cli.feeding import fetch, update
from pitboss.cli.flags import grouped
from pitboss.cli.options import URL, AsJson, DataDir, print_json, settings_of
from pitboss.cli.render import short_time, table
from pitboss.core.errors import DiskFull, InvalidInput
from pitboss.core.files import Files, open_files
from pitboss.core.places import follow_folder, place_caches
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.catalog import Catalog
from pitboss.market.options import ImportOptions

if TYPE_CHECKING:
    from pitboss.cli.remote import RemoteBars
    from pitboss.market.store import BarStore, Imported

app = typer.Typer(help="Import, fetch, list and export bars.", no_args_is_help=True)
app.command("fetch")(fetch)
app.command("update")(update)
Symbol = Annotated[str, typer.Option("--symbol", "-s", help="The symbol, such as EURUSD.")]
TimeframeFlag = Annotated[str, typer.Option("--timeframe", "-t", help="The length of a bar: 5m, 1h, 1d.")]


def files_of(data_dir: Path | None) -> Files:
    """Answer where the bars are."""
    settings = settings_of(data_dir)
    follow_folder(settings.data_dir)
    place_caches(settings.data_dir)
    return open_files(settings.data_dir, settings.files_url)


def catalog_of(data_dir: Path | None) -> Catalog | RemoteBars:
    """Answer what there is of bars, here or at the server that is named."""
    if os.environ.get(URL):
        from pitboss.cli.remote import RemoteBars

        return RemoteBars()
    return Catalog(files_of(data_dir))


def importer_of(data_dir: Path | None) -> BarStore | RemoteBars:
    """Answer what takes files of bars in, here or at the server that is named."""
    if os.environ.get(URL):
        from pitboss.cli.remote import RemoteBars

        return RemoteBars()
    return store_of(data_dir)


def store_of(data_dir: Path | None) -> BarStore:
    """Answer the bars themselves. Raises InvalidInput where a server elsewhere is named."""
    if os.environ.get(URL):
        raise InvalidInput("this command looks at bars of this machine", f"leave out --url and {URL}", "--url")
    files = files_of(data_dir)  # first: it says where compiled kernels are kept
    from pitboss.market.store import BarStore

    return BarStore(files)


@contextmanager
def given_file(file: Path) -> Iterator[tuple[Path, str]]:
    """Answer a file and what to call it; for `-` one with what comes in on standard input. Raises DiskFull."""
    if str(file) != "-":
        yield file, ""
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise InvalidInput("nothing comes in on standard input", "write a file's name, or pipe it in", "file")
    with tempfile.NamedTemporaryFile() as spooled:
        try:
            shutil.copyfileobj(sys.stdin.buffer, spooled)
            spooled.flush()
        except OSError as error:
            raise DiskFull(f"cannot keep what comes in: {error.strerror}", "free some space, or set TMPDIR") from None
        yield Path(spooled.name), "standard input"


@app.command("import")
@grouped
def import_bars(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet, or packed: gzip, zstd, bzip2, xz, ZIP; - reads.")],
    timeframe: TimeframeFlag,
    options: ImportOptions,
    symbol: Annotated[str, typer.Option("--symbol", "-s", help="The symbol, such as EURUSD or BTC/USDT.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Import bars from a file and say what was found in it."""
    if not symbol and not options.each_ticker:
        raise InvalidInput("there is no symbol", "name it with --symbol, or store all with --each-ticker", "--symbol")
    with given_file(file) as (path, source):
        made = importer_of(data_dir).import_file(path, symbol, parse_timeframe(timeframe), options, source)
    if as_json:
        told = [{"series": one.series.as_dict(), "report": one.report.as_dict()} for one in made]
        print_json(told if options.each_ticker else told[0])
        return
    for one in made:
        _tell(one, options.preview)


def _tell(made: Imported, is_preview: bool) -> None:
    """Print what an import found, and what of it is stored."""
    series, report, described = made.series, made.report, made.series.as_dict()
    print(f"{series.symbol} {series.timeframe}: {report.rows:,} bars from {report.rows_read:,} rows ({report.layout})")
    print(f"  columns: {', '.join(f'{role} from {name}' for role, name in report.columns.items())}")
    if report.ticker:
        print(f"  ticker: {report.ticker}")
    if is_preview:
        print("  not stored (--preview); the first bars would be (UTC):")
        names = list(report.preview[0])
        table(names, [[short_time(row["ts"]), *(f"{row[name]:g}" for name in names[1:])] for row in report.preview])
    else:
        print(f"  stored now: {series.rows:,} bars, {described['first']} to {described['last']}")
    lines = [*(f"repaired: {line}" for line in report.repairs()), *report.remarks]
    lines += [f"WARNING: {warning}" for warning in report.warnings]
    for line in lines:
        print(f"  {line}")
    if report.gaps:
        largest = report.largest_gaps[0]
        print(f"  {report.gaps:,} gaps, weekends and holidays included; the largest lacks {largest.missing:,} bars")


@app.command("list")
def list_series(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List what is stored."""
    found = catalog_of(data_dir).all()
    if as_json:
        print_json([series.as_dict() for series in found])
    elif found:
        rows = [
            [s.symbol, s.timeframe, f"{s.rows:,}", short_time(str(s.as_dict()["first"])),
             short_time(str(s.as_dict()["last"])), "synthetic" if s.is_synthetic else s.source]
            for s in found
        ]  # fmt: skip
        table(("symbol", "timeframe", "bars", "first (UTC)", "last (UTC)", "source"), rows)
    else:
        where = os.environ.get(URL) or settings_of(data_dir).data_dir
        print(f"There are no bars yet in {where}: 'pitboss data import' stores some, 'pitboss data synth' makes some.")


@app.command()
def show(symbol: Symbol, timeframe: TimeframeFlag, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show a series: its range, its digest and its first and last bars."""
    store = store_of(data_dir)
    series = store.exact(symbol, parse_timeframe(timeframe))
    if as_json:
        print_json(series.as_dict())
        return
    for name, value in series.as_dict().items():
        print(f"{name:<14}{value}")
    print(store.frame(symbol, parse_timeframe(timeframe)))


@app.command()
def gaps(
    symbol: Symbol,
    timeframe: TimeframeFlag,
    limit: Annotated[int, typer.Option(help="How many, largest first.")] = 20,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List where bars are missing."""
    found = store_of(data_dir).gaps(symbol, parse_timeframe(timeframe))
    largest = sorted(found, key=lambda gap: -gap.missing)[:limit]
    if as_json:
        print_json([{"after": gap.after, "before": gap.before, "missing": gap.missing} for gap in largest])
    else:
        print(f"{len(found):,} gaps")
        table(
            ("after", "before", "missing"),
            [[short_time(g.after), short_time(g.before), g.missing] for g in largest],
        )


@app.command()
def export(
    symbol: Symbol,
    timeframe: TimeframeFlag,
    to: Annotated[Path, typer.Option(help="A .csv, .parquet or .json file.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a series to a file."""
    store = store_of(data_dir)
    from pitboss.market.frames import nullable

    frame = nullable(store.frame(symbol, parse_timeframe(timeframe)))
    write_frame(frame, to)
    print_json({"rows": len(frame), "file": str(to)}) if as_json else print(f"{len(frame):,} bars → {to}")


@app.command()
def share(
    symbol: Symbol,
    timeframe: TimeframeFlag,
    stop: Annotated[bool, typer.Option("--stop", help="Take it back.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let every account read a series, or take that back."""
    series = catalog_of(data_dir).share(symbol, parse_timeframe(timeframe), not stop)
    told = "is shared with all" if series.is_shared else "is shared no more"
    print_json(series.as_dict()) if as_json else print(f"{symbol} {timeframe} {told}")


@app.command()
def remove(symbol: Symbol, timeframe: TimeframeFlag, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Remove a series. Results made from it stay."""
    catalog_of(data_dir).remove(symbol, parse_timeframe(timeframe))
    print_json({"removed": [symbol, timeframe]}) if as_json else print(f"removed {symbol} {timeframe}")


@app.command()
def synth(
    symbol: Symbol,
    timeframe: TimeframeFlag,
    start: Annotated[str, typer.Option("--from", help="First date.")] = "2022-01-01",
    days: Annotated[float, typer.Option(help="How many days.")] = 730,
    seed: Annotated[int, typer.Option(help="The same seed makes the same bars.")] = 1,
    session: Annotated[str, typer.Option(help="always, forex or stocks.")] = "forex",
    price: Annotated[float, typer.Option(help="The first price.")] = 100.0,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make synthetic bars; they stay marked as such."""
    from pitboss.market.store import Nature
    from pitboss.market.synth import synthesize

    try:
        first = datetime.fromisoformat(start).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInput(f"'{start[:40]}' is no date", "write 2022-01-31", "--from") from None
    length = parse_timeframe(timeframe)
    frame = synthesize(length, first, days, seed, session, price)
    series = store_of(data_dir).store(frame, symbol, length, Nature(f"synthetic, seed {seed}", is_synthetic=True))
    print_json(series.as_dict()) if as_json else print(f"{symbol} {timeframe}: {series.rows:,} synthetic bars")
