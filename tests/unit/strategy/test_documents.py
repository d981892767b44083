"""Reading documents: what is right, and every mistake with its place and remedy."""

from __future__ import annotations

import pytest

from pitboss.core.errors import InvalidInput
from pitboss.strategy.program import compile_document
from pitboss.strategy.reader import inspect_document, read_document

GOOD = """\
name: ema-cross-atr
timeframe: 5m
indicators:
  fast: ema(close, fast_period)
  slow: ema(close, 26)
  vol: atr(14)
entry:
  long: crosses_above(fast, slow) and rsi(close, 14) < 70
  short: crosses_below(fast, slow) and rsi(close, 14) > 30
exit:
  long: crosses_below(fast, slow)
  short: crosses_above(fast, slow)
risk: {stop_loss: 2 * vol, take_profit: 3%, trailing_stop: none, max_bars: 240}
sizing: {type: percent_equity, value: 10%}
costs: {commission: 0.02%, slippage: 0.01%}
parameters: {fast_period: {default: 12, low: 5, high: 50}}
"""


def problems_of(text):
    return inspect_document(text)[1]


def in_entry(condition):
    return f"name: t\ntimeframe: 1h\nparameters: {{n: {{default: 3, low: 1, high: 9}}}}\nentry:\n  long: {condition}\n"


def test_the_document_of_the_design_is_read():
    document = read_document(GOOD)
    assert (document.name, str(document.timeframe)) == ("ema-cross-atr", "5m")
    assert (document.sizing.type, document.sizing.value) == ("percent_equity", 0.1)
    assert document.costs.commission == pytest.approx(0.0002)
    assert set(document.levels) == {"stop_loss", "take_profit"}
    assert compile_document(document).max_bars == 240


def test_all_mistakes_are_reported_together_in_the_order_of_the_text():
    text = (
        GOOD.replace("ema(close, 26)", "emma(close, 26)")
        .replace("rsi(close, 14) < 70", "rsi(close, 14)")
        .replace("2 * vol", "'close[-1]'")
        .replace("slippage", "slipage")
    )
    problems = problems_of(text)
    assert [(p.line, p.message.split(",")[0]) for p in problems] == [
        (5, "unknown indicator 'emma'"),
        (8, "'and' needs conditions on both sides"),
        (13, "the offset -1 would look into the future"),
        (15, "unknown key 'slipage'"),
    ]
    assert problems[0].column == 9
    assert problems[0].text == "slow: emma(close, 26)"
    assert problems[0].remedy == "did you mean 'ema'?"
    assert all(p.remedy for p in problems)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("close > foo", "unknown name 'foo'"),
        ("close[n] > close[0 - 1]", "future"),
        ("close[close] > 1", "whole number of bars"),
        ("close[1.5] > 1", "whole number"),
        ("close / 0 > 1", "division by zero"),
        ("close / (n - n) > 1", "division by zero"),
        ("close", "entry.long is a series"),
        ("ema(close) and close", "needs conditions"),
        ("ema(close, close) > 1", "'timeperiod' of ema is a constant"),
        ("ema(close, 2.5) > 1", "whole number"),
        ("ema(close, 0) > 1", "does not accept"),
        ("ema(close, 1, 2, 3) > 1", "too many arguments"),
        ("ema(close, foo=3) > 1", "no further argument 'foo'"),
        ("ema > 1", "is a function"),
        ("n(3) > 1", "is no function"),
        ("macd(close) > 1", "several lines"),
        ("macd(close).foo > 1", "there is no line '.foo'"),
        ("close.foo > 1", "has no '.foo'"),
        ('on("7x", close) > 1', "unknown timeframe"),
        ('on("5m", close) > 1', "not a multiple"),
        ("on(close, 1) > 1", "on takes a timeframe"),
        ('symbol("SPY") > 1', "another symbol"),
        ("symbol(close).close > 1", "symbol takes the name"),
        ("close > 1 > 2", "cannot be chained"),
        ("close = 1", "unexpected '='"),
        ("close > (1", "expected ')'"),
        ("close >", "ends too early"),
        ("close > 1 &", "unexpected character"),
        ("not close", "'not' needs a condition"),
        ("rising(close, 0)", "does not accept length=0"),
        ("crosses_above(close)", "needs 2 series"),
        ("__import__('os')", "unknown indicator"),
        ("close > " + "(" * 60 + "1" + ")" * 60, "nested too deeply"),
        ("close > " + " + ".join(["1"] * 200), "too long"),
        ("close > " + "1" * 5000, "characters"),
    ],
)
def test_a_mistake_in_an_expression_is_placed_and_explained(condition, message):
    problems = problems_of(in_entry(condition))
    assert any(message in p.message for p in problems), problems
    assert all(p.line == 5 and p.column and p.remedy for p in problems)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is a mapping"),
        ("- a\n- b", "is a mapping"),
        ("name: x\nname: y", "stands twice"),
        ("entry: {long: close > 1}", "needs a name"),
        ("name: a b c", "is no name"),
        ("name: x\nfoo: 1", "unknown key 'foo'"),
        ("name: x\nentry: {up: close > 1}", "unknown key 'up'"),
        ("name: x\ntimeframe: 7q", "unknown timeframe"),
        ("name: &a x\nsource: *a", "anchors and aliases"),
        ("name: !!python/object:os.system x", "not allowed"),
        ("name: x\n---\nname: y", "more than one document"),
        ("[" * 10_000, "nested too deeply"),
        ("x" * 10_000_000, "bytes"),
        ("name: [", "not valid YAML"),
        ("name: x\nsizing: {type: alot, value: 1}", "unknown sizing"),
        ("name: x\nsizing: {type: risk, value: 1%}", "needs a stop"),
        ("name: x\nsizing: {value: 0}", "is 0"),
        ("name: x\nsizing: {value: -1}", "not negative"),
        ("name: x\ncosts: {commission: 200%}", "all of the price"),
        ("name: x\nparameters: {p: abc}", "is a number"),
        ("name: x\nparameters: {p: {low: 1}}", "no default"),
        ("name: x\nparameters: {p: {default: 1, low: 5, high: 2}}", "reversed"),
        ("name: x\nparameters: {p: {default: 1, low: 5, high: 9}}", "outside its range"),
        ("name: x\nparameters: {close: 1}", "cannot name a parameter"),
        ("name: x\nindicators: {close: 'ema(close, 3)'}", "is taken"),
        ("name: x\nindicators: {a: 'b + 1', b: close}", "before it is defined"),
        ("name: x\nindicators: {a: 'a + 1'}", "before it is defined"),
        ("name: x\nentry: [1, 2]", "is a mapping"),
        ("name: x\nentry: {long: {a: 1}}", "is one value"),
        ("name: x\nrisk: {stop_loss: 'close > 1'}", "is a condition"),
        ("name: x\nparameters: {n: {default: 3, low: -2, high: 9}}\nentry: {long: 'close[n] > 1'}", "future"),
    ],
)
def test_a_mistake_in_a_document_is_explained(text, message):
    problems = problems_of(text)
    assert any(message in p.message for p in problems), problems


def test_indicators_that_multiply_are_refused_before_they_grow():
    chain = "\n".join(f"  i{k}: i{k - 1} + i{k - 1}" for k in range(1, 60))
    assert any("too large" in p.message for p in problems_of(f"name: x\nindicators:\n  i0: close\n{chain}\n"))


def test_places_survive_folded_and_quoted_expressions():
    folded = "name: x\nentry:\n  long: >-\n    close > 1 and\n    foo > 2\n"
    quoted = 'name: x\nentry:\n  long: "close > foo"\n'
    assert [(p.line, p.column) for p in problems_of(folded)] == [(5, 5)]
    assert [(p.line, p.column) for p in problems_of(quoted)] == [(3, 18)]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"slow_period": 3}, "unknown parameter 'slow_period'"),
        ({"fast_period": 4}, "outside 5 to 50"),
        ({"fast_period": 7.5}, "whole number"),
        ({"fast_period": "x"}, "not a number"),
        ({"fast_period": True}, "not a number"),
        ({"fast_period": None}, "not a number"),
        ({"fast_period": [1]}, "not a number"),
        ({"fast_period": float("nan")}, "not a number"),
    ],
)
def test_overrides_that_do_not_fit_are_refused(overrides, message):
    with pytest.raises(InvalidInput, match=message):
        compile_document(read_document(GOOD), overrides)


def test_a_document_without_an_entry_is_read_but_not_run():
    document = read_document("name: x\nexit: {long: close > 1}")
    with pytest.raises(InvalidInput, match="no entry condition"):
        document.require_entry()


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("close[1e999] > 1", "too large"),
        ("ema(close, 1e999) > 1", "too large"),
        ("close" + "[0]" * 1300 + " > 1", "too long"),
        ('on("1h", on("15m", close)) > 1', "not a multiple"),
    ],
)
def test_what_once_broke_the_reader_is_refused(condition, message):
    assert any(message in p.message for p in problems_of(in_entry(condition)))


@pytest.mark.parametrize("risk", ["stop_loss: -1", "take_profit: 0%", "max_bars: 0", "max_bars: 1.5", "max_bars: 1e10"])
def test_levels_that_can_never_work_are_placed(risk):
    (problem,) = problems_of(f"name: x\nentry: {{long: close > 1}}\nrisk: {{{risk}}}\n")
    assert problem.line == 3
    assert problem.remedy


def test_half_a_character_is_refused():
    assert "surrogate" in problems_of("name: \ud800")[0].message


@pytest.mark.parametrize(
    ("condition", "remedy"),
    [
        ("rsi(14) < 30", "write rsi(close, 14)"),
        ("close > sma(n)", "write sma(close, n)"),
        ("rising(5, 3)", "write rising(close, 5, 3)"),
        ("crosses_above(3, 4)", "write crosses_above(x, y)"),
    ],
)
def test_an_indicator_of_a_constant_is_refused(condition, remedy):
    [problem] = problems_of(in_entry(condition))
    assert "needs a series, this is a constant" in problem.message
    assert problem.remedy == remedy


def test_a_constant_beside_a_series_is_none():
    assert not problems_of(in_entry("crosses_above(rsi(close, 14), 30) and greater(close, 5) > n and atr(14) > 1"))


@pytest.mark.parametrize(
    ("spec", "is_fractional"),
    [
        ("{default: 2.0, low: 1, high: 4}", True),
        ("{default: 2, low: 0.5, high: 4}", True),
        ("{default: 2, low: 1, high: 4}", False),
        ("2.5", True),
    ],
)
def test_a_parameter_is_fractional_when_a_fraction_stands_in_it(spec, is_fractional):
    document = read_document(f"name: t\ntimeframe: 1h\nparameters: {{k: {spec}}}\nentry: {{long: close > k}}\n")
    if is_fractional:
        assert document.parameter_values({"k": 1.5})["k"].value == 1.5
    else:
        with pytest.raises(InvalidInput, match="whole number"):
            document.parameter_values({"k": 1.5})


def test_an_expression_that_its_braces_cut_at_a_comma_is_to_be_quoted():
    text = (
        "name: t\ntimeframe: 1h\nindicators: {slow: macd(close, 12, 26, 9).macd, r: 1 + 1}\nentry: {long: slow > r}\n"
    )
    [problem] = problems_of(text)
    assert (problem.line, problem.remedy) == (3, 'quote it: {slow: "macd(close, 12, 26, 9).macd"}')


SETTINGS = """
name: t
timeframe: 30m
entry:
  long: close > open
  {entry}
exit:
  long: close < open
  {exit}
risk: {risk}
sizing: {sizing}
"""


def mistakes(entry="cooldown: 3", exit="at: '15:55'", risk="{stop_loss: 1%}", sizing="{value: 50%}", timeframe="30m"):
    text = SETTINGS.format(entry=entry, exit=exit, risk=risk, sizing=sizing).replace("30m", timeframe)
    return [problem.where for problem in inspect_document(text)[1]]


def test_settings_of_entries_and_exits_are_read():
    text = (
        SETTINGS.format(
            entry="order: {stop: {long: high + m, short: low}, limit: high + 2, expiry: n}\n  windows: ['09:30-11:30', '22:00-02:00']\n"
            "  cooldown: n\n  max_positions: 2",
            exit="at: 15:55",
            risk="{take_profit: [{at: 1%, share: 50%}, {at: 2 * atr(14), share: part}], max_bars: n}",
            sizing="{value: 150%, leverage: 2, maintenance: 25%, when_short: reject}",
        )
        + "parameters: {n: 4, m: 0.5, part: 30%}"
    )
    document = read_document(text)
    assert (document.windows, document.exit_at) == (((570, 690), (1320, 120)), 955)
    program = compile_document(document, {"n": 6, "part": "20%"})
    assert (program.expiry, program.cooldown, program.max_positions, program.max_bars) == (6, 6, 2, 6)
    assert [share for _, share in program.targets] == [0.5, 0.2]
    assert sorted(program.prices) == ["limit.long", "limit.short", "stop.long", "stop.short"]
    sizing = document.sizing
    assert (sizing.leverage, sizing.maintained, sizing.when_short) == (2, 0.25, "reject")


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"entry": "windows: ['09:30']"}, "entry.windows"),
        ({"entry": "windows: 09:30-25:00"}, "entry.windows"),
        ({"entry": "windows: 09:30-09:30"}, "entry.windows"),
        ({"entry": "cooldown: -1"}, "entry.cooldown"),
        ({"entry": "max_positions: 1.5"}, "entry.max_positions"),
        ({"entry": "cooldown: close"}, "entry.cooldown"),
        ({"entry": "order: {expiry: 3}"}, "entry.order"),
        ({"entry": "order: {limit: close > 1}"}, "entry.order.limit.long"),
        ({"entry": "order: {limit: close, expiry: -1}"}, "entry.order.expiry"),
        ({"entry": "order: {trigger: close}"}, "entry.order"),
        ({"entry": "order: limit"}, "entry.order"),
        ({"exit": "at: noon"}, "exit.at"),
        ({"exit": "at: '24:01'"}, "exit.at"),
        ({"risk": "{take_profit: [{at: 1%}]}"}, "risk.take_profit[0]"),
        ({"risk": "{take_profit: []}"}, "risk.take_profit"),
        ({"risk": "{take_profit: [1%, 2%]}"}, "risk.take_profit"),
        ({"risk": "{take_profit: [{at: 1%, share: 50}]}"}, "risk.take_profit[0].share"),
        ({"risk": "{take_profit: [{at: -1, share: 50%}]}"}, "risk.take_profit[0]"),
        ({"risk": "{take_profit: [{at: 1, share: close}]}"}, "risk.take_profit[0].share"),
        ({"sizing": "{leverage: 0}"}, "sizing.leverage"),
        ({"sizing": "{leverage: 1e9}"}, "sizing.leverage"),
        ({"sizing": "{value: 50}"}, "sizing.value"),
        ({"sizing": "{leverage: 4, maintenance: 50%}"}, "sizing.maintenance"),
        ({"sizing": "{when_short: beg}"}, "sizing.when_short"),
        ({"timeframe": "1d"}, "exit.at"),
        ({"timeframe": "1d", "exit": "", "entry": "windows: 09:30-11:30"}, "entry.windows"),
    ],
)
def test_settings_that_make_no_sense_are_told_with_their_place(changed, where):
    assert where in mistakes(**changed)
    assert mistakes() == []
